/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/answer_mount.h"

#include "base/cleanup.h"
#include "base/diag.h"
#include "base/new_mount_api.h"
#include "base/options.h"
#include "protocol/wire.h"

#include <string.h>

/* The flags that a server may mount with: not those to remount, bind or move. */
#define ALLOWED_FLAGS                                                                              \
	(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME |               \
	 MS_SYNCHRONOUS | MS_DIRSYNC | MS_NOSYMFOLLOW)

/* The kernel reads at most one page of mount(2)'s data. */
#define DATA_SIZE 4096

/*
 * Return true if the kernel option OPTION of the server's mount(2) can be used for this mount. fd=
 * and the IDs are not: the helper sets its own. allow_other and blksize= are ignored if they are
 * not permitted, because some servers always set them.
 */
static bool is_kernel_option(const struct broker *broker, const char *option)
{
	if (option_find_rule(option)->class != OPTION_KERNEL)
		return false;
	if (strcmp(option, "allow_other") == 0)
		return broker->service->granted & WIRE_HELLO_ALLOW_OTHER;
	if (strncmp(option, "blksize=", strlen("blksize=")) == 0)
		return broker->args->options.blkdev;
	return true;
}

/*
 * Select the options for the kernel from DATA of mount(2), and add those of the command line, which
 * apply even if the server does not repeat them.
 * *KERNELP: the list, which the caller frees; NULL if it is empty. Return 0 or -ENOMEM.
 */
static int select_kernel_options(const struct broker *broker, const char *data, char **kernelp)
{
	_cleanup_free_ char *kernel = NULL;

	if (broker->args->options.kernel &&
	    options_add_unescaped(&kernel, broker->args->options.kernel) < 0)
		return -ENOMEM;
	for (const char *cursor = data;;) {
		_cleanup_free_ char *option = NULL;
		int result = options_next(&cursor, &option);

		if (result < 0)
			return result;
		if (result == 0)
			break;
		if (is_kernel_option(broker, option) && options_add_unescaped(&kernel, option) < 0)
			return -ENOMEM;
	}
	*kernelp = take_pointer(kernel);
	return 0;
}

/* Read the string at ADDRESS of the server's memory, or "" if it is 0. */
static int read_string(const struct notification *notification, uint64_t address, char *buffer,
		       size_t size)
{
	buffer[0] = '\0';
	return address ? notification_read_string(notification, address, buffer, size) : 0;
}

/* Request the mount of the server's mount(2) from the helper. */
static int request_mount(struct broker *broker, const struct notification *notification,
			 uint64_t flags)
{
	const struct mount_args *args = broker->args;
	const char *refused;
	char type[32], data[DATA_SIZE];
	_cleanup_free_ char *kernel = NULL;
	struct service_mount mount = {
		.source = args->options.fsname ? args->options.fsname : args->source,
		.mountpoint = args->mountpoint,
		.table_options = args->no_utab ? "-n" : args->options.table,
		/* The type of the server's mount(2) is ignored: some servers always use fuseblk. */
		.fuseblk = args->options.blkdev,
	};
	int error = read_string(notification, notification->arguments[2], type, sizeof(type));

	if (error >= 0)
		error = read_string(notification, notification->arguments[4], data, sizeof(data));
	if (error < 0)
		return error;
	if (strncmp(type, "fuse", 4) != 0 || (flags & ~(uint64_t)ALLOWED_FLAGS) != 0)
		return -EPERM;
	if (!broker->service || broker->is_mounted)
		return -EBUSY;
	error = select_kernel_options(broker, data, &kernel);
	if (error < 0)
		return error;
	mount.kernel_options = kernel;
	mount.flags =
		(uint32_t)(args->options.flags | (broker->is_read_only ? MS_RDONLY : 0) | flags);
	error = service_request_mount(broker->service, &mount, &refused);
	if (error < 0 && refused)
		diag_error("mount request %s refused by the helper: %s", refused, strerror(-error));
	broker->is_mounted = error >= 0;
	return error;
}

void answer_mount(struct broker *broker, const struct notification *notification, const char *path,
		  uint64_t detail)
{
	if (strcmp(path, broker->mountpoint) == 0)
		notification_answer(notification, request_mount(broker, notification, detail));
	else
		notification_continue(notification);
}

void answer_unmount(struct broker *broker, const struct notification *notification,
		    const char *path, uint64_t detail)
{
	(void)detail;
	if (strcmp(path, broker->mountpoint) == 0)
		notification_answer(notification, 0);
	else
		notification_continue(notification);
}
