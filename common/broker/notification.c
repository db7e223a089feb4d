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

int notification_receive(int listener, struct notification *notification)
{
	/* A later kernel may fill in more than its headers of today tell. */
	union {
		struct seccomp_notif notif;
		char room[512];
	} received;

	memset(&received, 0, sizeof(received));
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &received.notif) < 0)
		return -errno;
	*notification = (struct notification){ .listener = listener,
					       .id = received.notif.id,
					       .pid = (pid_t)received.notif.pid,
					       .call = received.notif.data.nr };
	memcpy(notification->arguments, received.notif.data.args, sizeof(notification->arguments));
	return 0;
}

/* Whether it is still the thread that called, and not another one that has got its number. */
static int check_caller(const struct notification *notification)
{
	return ioctl(notification->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &notification->id) < 0
		       ? -errno
		       : 0;
}

int notification_read_string(const struct notification *notification, uint64_t address,
			     char *buffer, size_t size)
{
	size_t used = 0;

	/* Page by page, since the one behind the string may not be there. */
	while (used < size) {
		uint64_t at = address + used;
		size_t length = PAGE - at % PAGE < size - used ? PAGE - at % PAGE : size - used;
		struct iovec here = { buffer + used, length };
		struct iovec there = { (void *)(uintptr_t)at, length };

		if (process_vm_readv(notification->pid, &here, 1, &there, 1, 0) != (ssize_t)length)
			return -EFAULT;
		if (memchr(buffer + used, '\0', length))
			return check_caller(notification);
		used += length;
	}
	return -ENAMETOOLONG;
}

int notification_write(const struct notification *notification, uint64_t address,
		       const void *buffer, size_t size)
{
	struct iovec here = { (void *)(uintptr_t)buffer, size };
	struct iovec there = { (void *)(uintptr_t)address, size };
	int error = check_caller(notification);

	if (error < 0)
		return error;
	return process_vm_writev(notification->pid, &here, 1, &there, 1, 0) == (ssize_t)size
		       ? 0
		       : -EFAULT;
}

static void respond(const struct notification *notification, long result, uint32_t flags)
{
	struct seccomp_notif_resp response = { .id = notification->id,
					       .val = result < 0 ? 0 : result,
					       .error = result < 0 ? (int)result : 0,
					       .flags = flags };

	(void)ioctl(notification->listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

void notification_continue(const struct notification *notification)
{
	respond(notification, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

void notification_answer(const struct notification *notification, long result)
{
	respond(notification, result, 0);
}

void notification_answer_descriptor(const struct notification *notification, int fd, int open_flags)
{
	struct seccomp_notif_addfd added = { .id = notification->id,
					     .flags = SECCOMP_ADDFD_FLAG_SEND,
					     .srcfd = (uint32_t)fd,
					     .newfd_flags = (uint32_t)(open_flags & O_CLOEXEC) };
	struct seccomp_notif_resp response = { .id = notification->id };
	int number = ioctl(notification->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &added);

	if (number >= 0)
		return;
	if (errno == EINVAL) {
		/* Before Linux 5.14 in two steps: a caller killed between them keeps the descriptor
		 * until it is gone, which is at once. */
		added.flags = 0;
		number = ioctl(notification->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &added);
	}
	if (number < 0)
		response.error = -errno;
	else
		response.val = number;
	(void)ioctl(notification->listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}
