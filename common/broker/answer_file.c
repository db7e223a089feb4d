/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/answer_file.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/new_mount_api.h"
#include "base/open_flags.h"
#include "base/statx.h"
#include "protocol/wire.h"

#include <fcntl.h>
#include <string.h>

/*
 * The maximum number of requests to the helper for paths that do not exist in the sandbox. No known
 * server needs as many.
 */
#define MAX_HELPER_REQUESTS 100

/* go-fuse opens this file in its own mount before it serves, see open_go_fuse_probe(). */
#define GO_FUSE_PROBE ".go-fuse-epoll-hack"

/* Return true if PATH is in a directory where programs look for many files that do not exist. */
static bool is_system_path(const char *path)
{
	static const char *const prefixes[] = { "/usr/", "/lib",  "/proc/",
						"/sys/", "/bin/", "/sbin/" };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (strncmp(path, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

/*
 * Request PATH, which does not exist here, from the helper: the command line or the administrator
 * may have named it. Return a file descriptor, owned by the caller; or a negative errno.
 */
static int open_from_helper(struct broker *broker, const char *path, int flags)
{
	struct stat status;

	if (!broker->service || broker->helper_requests >= MAX_HELPER_REQUESTS ||
	    (flags & (O_CREAT | O_TRUNC | O_DIRECTORY | O_PATH)) || is_system_path(path) ||
	    lstat(path, &status) == 0 || (errno != ENOENT && errno != EACCES))
		return -ENOENT;
	broker->helper_requests++;
	return source_files_request(broker->service, path, flags, WIRE_REQUEST_QUIET);
}

/* Return true if PATH is the file NAME in the root of the server's mount. */
static bool is_in_mount(const struct broker *broker, const char *path, const char *name)
{
	size_t length = strlen(broker->mountpoint);

	return strncmp(path, broker->mountpoint, length) == 0 && path[length] == '/' &&
	       strcmp(path + length + 1, name) == 0;
}

/*
 * go-fuse opens and polls a file of its own mount once, so that the kernel gets ENOSYS for
 * FUSE_POLL and never polls files of this mount again; otherwise Go's runtime could wait for its
 * own server. The mount does not exist in the sandbox, so open /dev/null instead: any file that can
 * be polled will do.
 */
static int open_go_fuse_probe(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void answer_open_source(struct broker *broker, const struct notification *notification,
			       struct source_file *source, int flags)
{
	_cleanup_close_ int fd = -1;

	if (open_flags_write((unsigned int)flags) && broker->is_read_only)
		fd = -EROFS;
	else
		fd = source_file_open(source, broker->service, flags);
	if (fd < 0)
		notification_answer(notification, fd);
	else
		notification_answer_fd(notification, fd, flags);
}

void answer_open(struct broker *broker, const struct notification *notification, const char *path,
		 uint64_t detail)
{
	struct source_file *source = source_files_find(&broker->sources, path);
	_cleanup_close_ int fd = -1;
	int flags = (int)detail;

	if (strcmp(path, FUSE_DEVICE) == 0) {
		notification_answer_fd(notification, broker->fusedev, flags);
		return;
	}
	if (source) {
		answer_open_source(broker, notification, source, flags);
		return;
	}
	if (is_in_mount(broker, path, GO_FUSE_PROBE))
		fd = open_go_fuse_probe();
	else
		fd = open_from_helper(broker, path, flags);
	if (fd < 0)
		notification_continue(notification);
	else
		notification_answer_fd(notification, fd, flags);
}

/* Some servers check that they own their mountpoint: set its owner to the ID that they see. */
static void set_owner(const struct broker *broker, int fd, uid_t *uid, gid_t *gid)
{
	if (fd != broker->mountpoint_fd)
		return;
	*uid = broker->emulated_uid < 0 ? geteuid() : (uid_t)broker->emulated_uid;
	*gid = broker->emulated_uid < 0 ? getegid() : (gid_t)broker->emulated_uid;
}

/* Answer with ERROR, or with the SIZE bytes of STATUS at ADDRESS of the server's memory. */
static void answer_status(const struct notification *notification, int error, uint64_t address,
			  const void *status, size_t size)
{
	if (error == 0)
		error = notification_write(notification, address, status, size);
	notification_answer(notification, error);
}

void answer_stat(struct broker *broker, const struct notification *notification, const char *path,
		 uint64_t detail)
{
	int fd = broker_find_fd(broker, path), error;
	struct stat status;

	if (fd < 0) {
		notification_continue(notification);
		return;
	}
	error = fstat(fd, &status) < 0 ? -errno : 0;
	set_owner(broker, fd, &status.st_uid, &status.st_gid);
	answer_status(notification, error, detail, &status, sizeof(status));
}

void answer_statx(struct broker *broker, const struct notification *notification, const char *path,
		  uint64_t detail)
{
	unsigned int mask = (unsigned int)notification->arguments[3];
	int fd = broker_find_fd(broker, path), error;
	struct statx status;

	if (fd < 0) {
		notification_continue(notification);
		return;
	}
	error = statx(fd, "", AT_EMPTY_PATH, mask, &status) < 0 ? -errno : 0;
	set_owner(broker, fd, &status.stx_uid, &status.stx_gid);
	answer_status(notification, error, detail, &status, sizeof(status));
}

void answer_access(struct broker *broker, const struct notification *notification, const char *path,
		   uint64_t detail)
{
	int fd = broker_find_fd(broker, path);

	if (fd < 0)
		notification_continue(notification);
	else if (fd != broker->mountpoint_fd && (detail & X_OK))
		notification_answer(notification, -EACCES);
	else if (source_files_find(&broker->sources, path) && (detail & W_OK) &&
		 broker->is_read_only)
		notification_answer(notification, -EROFS);
	else
		notification_answer(notification, 0);
}

/* No path that the broker answers for is a symlink, so readlink(2) fails with EINVAL. */
void answer_readlink(struct broker *broker, const struct notification *notification,
		     const char *path, uint64_t detail)
{
	(void)detail;
	if (broker_find_fd(broker, path) < 0)
		notification_continue(notification);
	else
		notification_answer(notification, -EINVAL);
}
