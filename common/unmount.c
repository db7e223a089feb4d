/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unmount.h"

#include "channel.h"
#include "cleanup.h"
#include "fdpath.h"
#include "fsmount.h"
#include "mtab.h"
#include "privs.h"
#include "record.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434 /* Linux 5.3, the same on every architecture */
#endif

/* Milliseconds: when a person wants to know, and how often to look where pidfd_open(2) is not. */
#define PATIENCE 2000
#define PERIOD   100

/* Whether FD is on a mountpoint, and not on a file somewhere below it. */
static int find_by_place(int fd, struct mountinfo *mount)
{
	char place[PATH_MAX];
	int error = mountinfo_of(fd, mount);

	if (error == 0)
		error = fd_place(fd, place);
	if (error < 0)
		return error;
	return strcmp(place, mount->target) == 0 ? 0 : -EINVAL;
}

/* Whether SHOWN, the source of a mount, is what is left of SOURCE. */
static bool is_source(const char *shown, const char *source)
{
	size_t length = strlen(shown);

	return strcmp(shown, source) == 0 ||
	       (length == FSMOUNT_LONGEST_SOURCE && strncmp(shown, source, length) == 0);
}

/*
 * The place of the one FUSE mount of SOURCE. A relative path that is a file is no other file of
 * that name, which a server may have been told of in another directory.
 */
static int find_source(const char *source, char **targetp)
{
	_cleanup_mountinfo_ struct mountinfo mount = { 0 };
	_cleanup_file_ FILE *table = mountinfo_open();
	_cleanup_free_ char *absolute = realpath(source, NULL);
	bool spelled = !absolute || source[0] == '/';
	int more = table ? 0 : -errno;

	while (table && (more = mountinfo_next(table, &mount)) > 0) {
		if (!mountinfo_is_fuse(&mount) ||
		    !((spelled && is_source(mount.source, source)) ||
		      (absolute && is_source(mount.source, absolute))))
			continue;
		if (*targetp)
			return -ENOTUNIQ;
		*targetp = strdup(mount.target);
		if (!*targetp)
			return -ENOMEM;
	}
	return more < 0 ? more : *targetp ? 0 : -EINVAL;
}

/* Opening without reading: the kernel does not ask the server, and it takes no right to. */
static int open_place(const char *place, struct unmount *unmount)
{
	unmount->fd = open(place, O_PATH | O_CLOEXEC);
	return unmount->fd < 0 ? -errno : find_by_place(unmount->fd, &unmount->mount);
}

/* The server, for as long as it is the process that was recorded. */
static void find_server(struct unmount *unmount)
{
	struct process recorded, found;

	if (mtab_find_server(unmount->mount.target, &recorded) < 0)
		return;
	unmount->server_fd = (int)syscall(SYS_pidfd_open, recorded.pid, 0);
	/* In this order: what has the number now, the descriptor has kept it. */
	if (process_identify(recorded.pid, &found) == 0 && found.start == recorded.start)
		unmount->server = found;
	else
		unmount->server_fd = close_fd(unmount->server_fd);
}

int unmount_find(const char *word, struct unmount *unmount)
{
	_cleanup_free_ char *target = NULL;
	int first = open_place(word, unmount), error = first;

	if (first < 0) {
		unmount->fd = close_fd(unmount->fd);
		error = find_source(word, &target);
		if (error == 0)
			error = open_place(target, unmount);
		else if (error == -EINVAL)
			error = first;
	}
	if (error < 0)
		return error;
	if (!mountinfo_is_fuse(&unmount->mount))
		return -EMEDIUMTYPE;
	if (!privs_caller_is_root() && !mountinfo_is_of(&unmount->mount, getuid()))
		return -EPERM;
	find_server(unmount);
	return 0;
}

static int call(const char *path, int flags)
{
	int error;

	privs_raise();
	error = umount2(path, flags) < 0 ? -errno : 0;
	privs_lower();
	return error;
}

/*
 * By the name of the mountpoint in its directory, which is held: a mountpoint cannot be renamed or
 * removed. A descriptor on the mount would keep it busy, and is no better name of it: the kernel
 * takes what is mounted on top of it meanwhile, perhaps somebody else's.
 */
static int unmount_by_name(struct unmount *unmount, int flags)
{
	_cleanup_free_ char *directory = strdup(unmount->mount.target), *path = NULL;
	_cleanup_close_ int parent = -1;
	char *name = directory ? strrchr(directory, '/') : NULL;
	int mountpoint, id;

	if (!name)
		return directory ? -EINVAL : -ENOMEM;
	*name++ = '\0';
	if (!*name)
		return -EBUSY; /* the root directory: everything is in it */
	parent = open(*directory ? directory : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return -errno;
	mountpoint = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (mountpoint < 0)
		return -errno;
	id = mountinfo_id(mountpoint);
	close_fd(mountpoint);
	if (id != unmount->mount.id)
		return -ESTALE;
	if (asprintf(&path, "%s/%s", fd_path(parent).text, name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	unmount->fd = close_fd(unmount->fd);
	return call(path, flags | UMOUNT_NOFOLLOW);
}

int unmount_do(struct unmount *unmount, int ways)
{
	int flags =
		(ways & UNMOUNT_FORCED ? MNT_FORCE : 0) | (ways & UNMOUNT_LAZY ? MNT_DETACH : 0);
	int error = unmount_by_name(unmount, flags);

	if (error == 0)
		record_forget(unmount->mount.target);
	return error;
}

static bool has_ended(const struct unmount *unmount)
{
	struct pollfd server = { .fd = unmount->server_fd, .events = POLLIN };
	struct process found;

	if (unmount->server_fd >= 0)
		return poll(&server, 1, 0) > 0;
	return process_identify(unmount->server.pid, &found) < 0 ||
	       found.start != unmount->server.start;
}

int unmount_wait(const struct unmount *unmount, int64_t deadline, int interrupt,
		 void (*tell)(const struct unmount *unmount))
{
	int64_t patience = deadline_in(PATIENCE / 1000);

	if (unmount->server.pid == 0)
		return 0;
	while (!has_ended(unmount)) {
		struct pollfd waits[] = {
			{ .fd = interrupt, .events = POLLIN },
			{ .fd = unmount->server_fd, .events = POLLIN },
		};
		int left = deadline_left(deadline);

		if (left == 0)
			return -ETIMEDOUT;
		if (tell && deadline_left(patience) == 0) {
			tell(unmount);
			tell = NULL;
		}
		if (tell && left > deadline_left(patience))
			left = deadline_left(patience);
		if (unmount->server_fd < 0 && left > PERIOD)
			left = PERIOD;
		if (poll(waits, 2, left) > 0 && waits[0].revents)
			return -EINTR;
	}
	return 0;
}

void unmount_free(struct unmount *unmount)
{
	mountinfo_free(&unmount->mount);
	unmount->fd = close_fd(unmount->fd);
	unmount->server_fd = close_fd(unmount->server_fd);
}
