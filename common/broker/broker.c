/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/broker.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/new_mount_api.h"
#include "base/new_syscalls.h"
#include "base/open_flags.h"
#include "base/statx.h"
#include "broker/path_argument.h"
#include "protocol/wire.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

/* The places for the names that the server is given: in the sandbox, or elsewhere of our own. */
#define SANDBOX_PLACE "/fsvc"
#define OTHER_PLACE   "/tmp/fsvc-XXXXXX"
#define MOUNTPOINT    "mountpoint"

/* Files that are not here, and may be the helper's to open: no server has as many. */
#define MOST_QUESTIONS 100

/* With which a server may mount: not to remount, bind or move. */
#define SERVERS_FLAGS                                                                              \
	(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME |               \
	 MS_SYNCHRONOUS | MS_DIRSYNC | MS_NOSYMFOLLOW)

/* What Go's most common library looks for in its own mount before it serves; see answer_open(). */
#define GO_FUSE_PROBE ".go-fuse-epoll-hack"

/* Longer than what the kernel takes from mount(2) in one page. */
#define DATA_SIZE 4096

/*
 * Finds an empty directory to be the server's mountpoint. The source needs none: it is not there,
 * and the broker answers whoever looks for it.
 */
static int find_place(struct broker *broker)
{
	char other[] = OTHER_PLACE;
	const char *place = SANDBOX_PLACE;

	broker->mountpoint_fd =
		open(SANDBOX_PLACE "/" MOUNTPOINT, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (broker->mountpoint_fd < 0) {
		place = mkdtemp(other);
		if (!place)
			return -errno;
		broker->own_place = strdup(place);
		if (!broker->own_place)
			return -ENOMEM;
	}
	if (asprintf(&broker->mountpoint, "%s/" MOUNTPOINT, place) < 0)
		return -ENOMEM;
	if (broker->mountpoint_fd >= 0)
		return 0;
	if (mkdir(broker->mountpoint, 0755) < 0)
		return -errno;
	broker->mountpoint_fd = open(broker->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return broker->mountpoint_fd < 0 ? -errno : 0;
}

const char *broker_source(const struct broker *broker)
{
	return broker->remote ? broker->args->source : broker->sources.list[0].name;
}

int broker_prepare(struct broker *broker)
{
	int error = find_place(broker);

	if (error < 0)
		return error;
	broker->fusedev = fcntl(broker->service->fusedev, F_DUPFD_CLOEXEC, 0);
	if (broker->fusedev < 0)
		return -errno;
	if (broker->remote)
		return 0;
	return source_files_fetch(&broker->sources, broker->service, broker->args,
				  broker->mountpoint, &broker->read_only);
}

void broker_free(struct broker *broker)
{
	close_fd(broker->listener);
	close_fd(broker->mountpoint_fd);
	close_fd(broker->fusedev);
	if (broker->own_place) {
		rmdir(broker->mountpoint);
		rmdir(broker->own_place);
	}
	free(broker->own_place);
	source_files_free(&broker->sources);
	free(broker->mountpoint);
	*broker = BROKER_NONE;
}

static int open_source(struct broker *broker, struct source_file *source, int flags)
{
	if (open_flags_write((unsigned int)flags) && broker->read_only)
		return -EROFS;
	return source_file_open(source, broker->service, flags);
}

/* Where the system keeps its own, and most programs look for much that is not there. */
static bool is_systems(const char *path)
{
	static const char *const places[] = {
		"/usr/", "/lib", "/proc/", "/sys/", "/bin/", "/sbin/"
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (strncmp(path, places[i], strlen(places[i])) == 0)
			return true;
	return false;
}

/* A file that is not here may be one that the caller or the administrator has named. */
static int open_other(struct broker *broker, const char *path, int flags)
{
	struct stat status;

	if (!broker->service || broker->questions >= MOST_QUESTIONS ||
	    (flags & (O_CREAT | O_TRUNC | O_DIRECTORY | O_PATH)) || is_systems(path) ||
	    lstat(path, &status) == 0 || (errno != ENOENT && errno != EACCES))
		return -ENOENT;
	broker->questions++;
	return source_files_ask(broker->service, path, flags, WIRE_REQUEST_QUIET);
}

/* Whether PATH is NAME in the server's own mount. */
static bool is_in_mount(const struct broker *broker, const char *path, const char *name)
{
	size_t length = strlen(broker->mountpoint);

	return strncmp(path, broker->mountpoint, length) == 0 && path[length] == '/' &&
	       strcmp(path + length + 1, name) == 0;
}

static void answer_open(struct broker *broker, const struct notification *notification,
			const char *path, uint64_t detail)
{
	struct source_file *source = source_files_find(&broker->sources, path);
	_cleanup_close_ int fd = -1;
	int flags = (int)detail;

	if (strcmp(path, FUSE_DEVICE) == 0) {
		notification_answer_descriptor(notification, broker->fusedev, flags);
		return;
	}
	/*
	 * go-fuse opens it and polls it once, that the kernel learns to poll this mount no more: a
	 * server that waits for its own mount might wait for itself. The mount is not here, so
	 * whatever can be polled does.
	 */
	if (is_in_mount(broker, path, GO_FUSE_PROBE)) {
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		notification_answer_descriptor(notification, fd, flags);
		return;
	}
	if (source) {
		fd = open_source(broker, source, flags);
		if (fd < 0) {
			notification_answer(notification, fd);
			return;
		}
	} else {
		fd = open_other(broker, path, flags);
	}
	if (fd < 0)
		notification_continue(notification);
	else
		notification_answer_descriptor(notification, fd, flags);
}

/* The descriptor of what a name stands for that is not what is here, or -1. */
static int behind(const struct broker *broker, const char *path)
{
	const struct source_file *source = source_files_find(&broker->sources, path);

	if (source)
		return source->fd;
	if (strcmp(path, broker->mountpoint) == 0)
		return broker->mountpoint_fd;
	return strcmp(path, FUSE_DEVICE) == 0 ? broker->fusedev : -1;
}

/* Some servers want their mountpoint to be their own. */
static bool is_own(const struct broker *broker, int fd)
{
	return fd == broker->mountpoint_fd;
}

/* It belongs to who they believe to be. */
static void set_owner(const struct broker *broker, int fd, uid_t *user, gid_t *group)
{
	if (!is_own(broker, fd))
		return;
	*user = broker->user < 0 ? geteuid() : (uid_t)broker->user;
	*group = broker->user < 0 ? getegid() : (gid_t)broker->user;
}

/* ERROR, or the SIZE bytes at STATUS. */
static void answer_status(const struct notification *notification, int error, uint64_t address,
			  const void *status, size_t size)
{
	if (error == 0)
		error = notification_write(notification, address, status, size);
	notification_answer(notification, error);
}

static void answer_stat(struct broker *broker, const struct notification *notification,
			const char *path, uint64_t address)
{
	int fd = behind(broker, path), error;
	struct stat status;

	if (fd < 0) {
		notification_continue(notification);
		return;
	}
	error = fstat(fd, &status) < 0 ? -errno : 0;
	set_owner(broker, fd, &status.st_uid, &status.st_gid);
	answer_status(notification, error, address, &status, sizeof(status));
}

static void answer_statx(struct broker *broker, const struct notification *notification,
			 const char *path, uint64_t address)
{
	unsigned int mask = (unsigned int)notification->arguments[3];
	int fd = behind(broker, path), error;
	struct statx status;

	if (fd < 0) {
		notification_continue(notification);
		return;
	}
	error = statx(fd, "", AT_EMPTY_PATH, mask, &status) < 0 ? -errno : 0;
	set_owner(broker, fd, &status.stx_uid, &status.stx_gid);
	answer_status(notification, error, address, &status, sizeof(status));
}

static void answer_access(struct broker *broker, const struct notification *notification,
			  const char *path, uint64_t mode)
{
	int fd = behind(broker, path);

	if (fd < 0)
		notification_continue(notification);
	else if (!is_own(broker, fd) && (mode & X_OK))
		notification_answer(notification, -EACCES);
	else if (source_files_find(&broker->sources, path) && (mode & W_OK) && broker->read_only)
		notification_answer(notification, -EROFS);
	else
		notification_answer(notification, 0);
}

/*
 * The options of a server's mount(2) that are for the kernel. Its descriptor and its ids are not
 * the helper's; allow_other, which some servers always ask for, goes where it may be had, and what
 * fuseblk alone knows where it is that.
 */
static int sort_mount_data(const struct broker *broker, const char *data, char **kernelp)
{
	_cleanup_free_ char *kernel = NULL;

	/* What the caller has said holds, whether the server repeats it or not. */
	if (broker->args->options.kernel &&
	    options_add_unescaped(&kernel, broker->args->options.kernel) < 0)
		return -ENOMEM;
	for (const char *cursor = data;;) {
		_cleanup_free_ char *option = NULL;
		int more = options_next(&cursor, &option);

		if (more < 0)
			return more;
		if (more == 0)
			break;
		if (option_find_rule(option)->class != OPTION_KERNEL ||
		    (strcmp(option, "allow_other") == 0 &&
		     !(broker->service->granted & WIRE_HELLO_ALLOW_OTHER)) ||
		    (strncmp(option, "blksize=", strlen("blksize=")) == 0 &&
		     !broker->args->options.blkdev))
			continue;
		if (options_add_unescaped(&kernel, option) < 0)
			return -ENOMEM;
	}
	*kernelp = take_pointer(kernel);
	return 0;
}

static int ask_mount(struct broker *broker, const struct notification *notification, uint64_t flags)
{
	const struct mount_args *args = broker->args;
	char type[32] = "", data[DATA_SIZE] = "";
	_cleanup_free_ char *kernel = NULL;
	struct service_mount mount = {
		.source = args->options.fsname ? args->options.fsname : args->source,
		.mountpoint = args->mountpoint,
		.table_options = args->no_utab ? "-n" : args->options.table,
		.fuseblk = args->options.blkdev, /* servers ask for it out of habit */
	};
	int error = 0;

	if (notification->arguments[2])
		error = notification_read_string(notification, notification->arguments[2], type,
						 sizeof(type));
	if (error >= 0 && notification->arguments[4])
		error = notification_read_string(notification, notification->arguments[4], data,
						 sizeof(data));
	if (error < 0)
		return error;
	if (strncmp(type, "fuse", 4) != 0 || (flags & ~(uint64_t)SERVERS_FLAGS) != 0)
		return -EPERM;
	if (!broker->service || broker->mounted)
		return -EBUSY;
	error = sort_mount_data(broker, data, &kernel);
	if (error < 0)
		return error;
	mount.kernel_options = kernel;
	mount.flags = (uint32_t)(args->options.flags | (broker->read_only ? MS_RDONLY : 0) | flags);
	error = service_request_mount(broker->service, &mount);
	broker->mounted = error >= 0;
	return error;
}

static void answer_mount(struct broker *broker, const struct notification *notification,
			 const char *target, uint64_t flags)
{
	if (strcmp(target, broker->mountpoint) == 0)
		notification_answer(notification, ask_mount(broker, notification, flags));
	else
		notification_continue(notification);
}

/* No name that is answered for is a symlink; readlink(2) fails so for a file. */
static void answer_readlink(struct broker *broker, const struct notification *notification,
			    const char *path, uint64_t address)
{
	(void)address;
	if (behind(broker, path) < 0)
		notification_continue(notification);
	else
		notification_answer(notification, -EINVAL);
}

/* The mount is the person's to undo; a server that ends is told that it has done its part. */
static void answer_unmount(struct broker *broker, const struct notification *notification,
			   const char *target, uint64_t flags)
{
	(void)flags;
	if (strcmp(target, broker->mountpoint) == 0)
		notification_answer(notification, 0);
	else
		notification_continue(notification);
}

/* All of the server's ids are those of the person whose server it would be, started by hand. */
static void answer_identity(struct broker *broker, const struct notification *notification,
			    const char *path, uint64_t detail)
{
	(void)path;
	(void)detail;
	notification_answer(notification, broker->user);
}

/*
 * The calls that the filter lets wait: which arguments hold the directory (-1: none), the path (-1:
 * the call has none), and what else the answer depends on.
 */
/* clang-format off */
static const struct call {
	long number;
	int directory, path, detail;
	void (*answer)(struct broker *broker, const struct notification *notification,
		       const char *path, uint64_t detail);
} calls[] = {
#ifdef SYS_open /* architectures that are older than the *at calls */
	{ SYS_open,       -1, 0, 1, answer_open },
	{ SYS_stat,       -1, 0, 1, answer_stat },
	{ SYS_lstat,      -1, 0, 1, answer_stat },
	{ SYS_access,     -1, 0, 1, answer_access },
	{ SYS_readlink,   -1, 0, 1, answer_readlink },
#endif
	{ SYS_openat,      0, 1, 2, answer_open },
	{ SYS_newfstatat,  0, 1, 2, answer_stat },
	{ SYS_statx,       0, 1, 4, answer_statx },
	{ SYS_faccessat,   0, 1, 2, answer_access },
	{ SYS_faccessat2,  0, 1, 2, answer_access },
	{ SYS_readlinkat,  0, 1, 2, answer_readlink },
	{ SYS_mount,      -1, 1, 3, answer_mount },
	{ SYS_umount2,    -1, 0, 1, answer_unmount },
	{ SYS_getuid,     -1, -1, 0, answer_identity },
	{ SYS_geteuid,    -1, -1, 0, answer_identity },
	{ SYS_getgid,     -1, -1, 0, answer_identity },
	{ SYS_getegid,    -1, -1, 0, answer_identity },
};
/* clang-format on */

static const struct call *find_call(int number)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (calls[i].number == number)
			return &calls[i];
	return NULL;
}

int broker_answer(struct broker *broker)
{
	struct notification notification;
	const struct call *call;
	char path[PATH_MAX] = "";
	int error = notification_receive(broker->listener, &notification);

	if (error < 0)
		return error == -ENOENT || error == -EINTR ? 0 : error;
	call = find_call(notification.call);
	if (call && (call->path < 0 ||
		     path_argument_read(&notification, call->directory, call->path, path) >= 0))
		call->answer(broker, &notification, path, notification.arguments[call->detail]);
	else
		notification_continue(&notification);
	return 0;
}
