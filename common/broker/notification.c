/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/notification.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND 2 /* Linux 5.14 */
#endif

#define PAGE 4096

int notification_receive(int notify_fd, struct notification *notification)
{
	/* A later kernel may write more than struct seccomp_notif of these headers. */
	union {
		struct seccomp_notif notif;
		char space[512];
	} received;

	memset(&received, 0, sizeof(received));
	if (ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_RECV, &received.notif) < 0)
		return -errno;
	*notification = (struct notification){ .notify_fd = notify_fd,
					       .id = received.notif.id,
					       .pid = (pid_t)received.notif.pid,
					       .number = received.notif.data.nr };
	memcpy(notification->arguments, received.notif.data.args, sizeof(notification->arguments));
	return 0;
}

/* Check that the thread still waits in this call: after its exit, another thread may have its ID.
 * Return 0 or a negative errno. */
static int check_thread(const struct notification *notification)
{
	return ioctl(notification->notify_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &notification->id) < 0
		       ? -errno
		       : 0;
}

int notification_read_string(const struct notification *notification, uint64_t address,
			     char *buffer, size_t size)
{
	size_t used = 0;

	/* Page by page: the page after the string may not be mapped. */
	while (used < size) {
		uint64_t at = address + used;
		size_t length = PAGE - at % PAGE < size - used ? PAGE - at % PAGE : size - used;
		struct iovec local = { buffer + used, length };
		struct iovec remote = { (void *)(uintptr_t)at, length };

		if (process_vm_readv(notification->pid, &local, 1, &remote, 1, 0) !=
		    (ssize_t)length)
			return -EFAULT;
		if (memchr(buffer + used, '\0', length))
			return check_thread(notification);
		used += length;
	}
	return -ENAMETOOLONG;
}

int notification_write(const struct notification *notification, uint64_t address,
		       const void *buffer, size_t size)
{
	struct iovec local = { (void *)(uintptr_t)buffer, size };
	struct iovec remote = { (void *)(uintptr_t)address, size };
	int error = check_thread(notification);

	if (error < 0)
		return error;
	return process_vm_writev(notification->pid, &local, 1, &remote, 1, 0) == (ssize_t)size
		       ? 0
		       : -EFAULT;
}

static void respond(const struct notification *notification, long result, uint32_t flags)
{
	struct seccomp_notif_resp response = { .id = notification->id,
					       .val = result < 0 ? 0 : result,
					       .error = result < 0 ? (int)result : 0,
					       .flags = flags };

	(void)ioctl(notification->notify_fd, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

void notification_continue(const struct notification *notification)
{
	respond(notification, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

void notification_answer(const struct notification *notification, long result)
{
	respond(notification, result, 0);
}

void notification_answer_fd(const struct notification *notification, int fd, int open_flags)
{
	struct seccomp_notif_addfd added = { .id = notification->id,
					     .flags = SECCOMP_ADDFD_FLAG_SEND,
					     .srcfd = (uint32_t)fd,
					     .newfd_flags = (uint32_t)(open_flags & O_CLOEXEC) };
	struct seccomp_notif_resp response = { .id = notification->id };
	int copy = ioctl(notification->notify_fd, SECCOMP_IOCTL_NOTIF_ADDFD, &added);

	if (copy >= 0)
		return;
	if (errno == EINVAL) {
		/* Before Linux 5.14, adding the file descriptor and answering are two steps. */
		added.flags = 0;
		copy = ioctl(notification->notify_fd, SECCOMP_IOCTL_NOTIF_ADDFD, &added);
	}
	if (copy < 0)
		response.error = -errno;
	else
		response.val = copy;
	(void)ioctl(notification->notify_fd, SECCOMP_IOCTL_NOTIF_SEND, &response);
}
