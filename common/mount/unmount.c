/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mount/unmount.h"

#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/fdpath.h"
#include "base/interrupt.h"
#include "base/privs.h"
#include "mount/create_mount.h"
#include "mount/utab.h"
#include "mount/utab_options.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434 /* Linux 5.3, the same on every architecture */
#endif

/* Milliseconds: when a person wants to know, and how often to look at what poll(2) cannot see. */
#define PATIENCE 2000
#define PERIOD   100

/* Whether FD is on a mountpoint, and not on a file somewhere below it. */
static int find_by_place(int fd, struct mountinfo *mount)
{
	char place[PATH_MAX];
	int error = mountinfo_find_by_fd(fd, mount);

	if (error == 0)
		error = fd_current_path(fd, place);
	if (error < 0)
		return error;
	return strcmp(place, mount->target) == 0 ? 0 : -EINVAL;
}

/* Whether SHOWN, the source of a mount, is what is left of SOURCE. */
static bool is_source(const char *shown, const char *source)
{
	size_t length = strlen(shown);

	return strcmp(shown, source) == 0 ||
	       (length == FUSE_MOUNT_MAX_SOURCE && strncmp(shown, source, length) == 0);
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

	if (utab_find_server(unmount->mount.target, &recorded) < 0)
		return;
	unmount->server_fd = (int)syscall(SYS_pidfd_open, recorded.pid, 0);
	/* In this order: what has the number now, the descriptor has kept it. */
	if (process_identify(recorded.pid, &found) == 0 && found.start == recorded.start)
		unmount->server = found;
	else
		unmount->server_fd = close_fd(unmount->server_fd);
	unmount->worker_fd = close_fd(unmount->worker_fd);
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
	if (!privs_caller_is_root() && !mountinfo_belongs_to(&unmount->mount, getuid()))
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

/* The mountpoint by its name in its directory, which is held. */
struct place {
	int directory;
	const char *name;
};

/* Whether the mount is what is seen there. Returns 1, 0 or a negative errno. */
static int is_at(const struct place *place, const struct unmount *unmount)
{
	_cleanup_close_ int fd =
		openat(place->directory, place->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int id = fd < 0 ? -errno : mountinfo_get_id(fd);

	return id < 0 ? id : id == unmount->mount.id;
}

/* The worker's life: its answer is read when the kernel lets it go. It keeps nobody waiting who
 * reads what this program says. */
static _Noreturn void work(int answer, const char *path, int flags)
{
	int error;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		close(fd);
	error = call(path, flags);
	(void)!write(answer, &error, sizeof(error));
	_exit(0);
}

/*
 * Has a process of its own call umount2(2). Who unmounts a fuseblk is held there, not to be killed,
 * until the device has everything and the server has answered, which a hostile one never does.
 */
static int start_worker(struct unmount *unmount, const char *path, int flags)
{
	sigset_t mask;
	int ends[2];
	pid_t worker;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	/* A Ctrl-C is for who waits. */
	interrupt_block(&mask);
	worker = fork();
	if (worker == 0)
		work(ends[1], path, flags);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	close(ends[1]);
	unmount->worker_fd = ends[0];
	if (worker >= 0)
		return 0;
	unmount->worker_fd = close_fd(unmount->worker_fd);
	return -EAGAIN;
}

/* Until the worker has answered, or the mount is out of sight. Returns 0 or a negative errno. */
static int wait_for_worker(struct unmount *unmount, const struct place *place)
{
	struct pollfd answer = { .fd = unmount->worker_fd, .events = POLLIN };
	int error = -EIO; /* of a worker that was killed */

	while (poll(&answer, 1, PERIOD) <= 0)
		if (is_at(place, unmount) != 1)
			return 0;
	if (read(unmount->worker_fd, &error, sizeof(error)) < 0)
		error = -errno;
	unmount->worker_fd = close_fd(unmount->worker_fd);
	return error;
}

/*
 * By the name of the mountpoint in its directory: a mountpoint cannot be renamed or removed. A
 * descriptor on the mount would keep it busy, and is no better name of it: the kernel takes what is
 * mounted on top of it meanwhile, perhaps somebody else's.
 */
static int unmount_by_name(struct unmount *unmount, int flags)
{
	_cleanup_free_ char *directory = strdup(unmount->mount.target), *path = NULL;
	_cleanup_close_ int parent = -1;
	char *name = directory ? strrchr(directory, '/') : NULL;
	struct place place;
	int there;

	if (!name)
		return directory ? -EINVAL : -ENOMEM;
	*name++ = '\0';
	if (!*name)
		return -EBUSY; /* the root directory: everything is in it */
	parent = open(*directory ? directory : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return -errno;
	place = (struct place){ parent, name };
	there = is_at(&place, unmount);
	if (there <= 0)
		return there < 0 ? there : -ESTALE;
	if (asprintf(&path, "%s/%s", fd_path(parent).text, name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	unmount->fd = close_fd(unmount->fd);
	flags |= UMOUNT_NOFOLLOW;
	/* Without a process more, it is done here. */
	return start_worker(unmount, path, flags) < 0 ? call(path, flags)
						      : wait_for_worker(unmount, &place);
}

int unmount_run(struct unmount *unmount, int ways)
{
	int flags =
		(ways & UNMOUNT_FORCED ? MNT_FORCE : 0) | (ways & UNMOUNT_LAZY ? MNT_DETACH : 0);
	int error = unmount_by_name(unmount, flags);

	if (error == 0)
		utab_remove_mount(unmount->mount.target);
	return error;
}

static bool is_readable(int fd)
{
	struct pollfd waits = { .fd = fd, .events = POLLIN };

	return poll(&waits, 1, 0) > 0;
}

static bool is_worked_at(const struct unmount *unmount)
{
	return unmount->worker_fd >= 0 && !is_readable(unmount->worker_fd);
}

static bool has_ended(const struct unmount *unmount)
{
	struct process found;

	if (is_worked_at(unmount))
		return false;
	if (unmount->server.pid == 0)
		return true;
	if (unmount->server_fd >= 0)
		return is_readable(unmount->server_fd);
	return process_identify(unmount->server.pid, &found) < 0 ||
	       found.start != unmount->server.start;
}

int unmount_wait(const struct unmount *unmount, int64_t deadline, int interrupt,
		 void (*tell)(const struct unmount *unmount))
{
	int64_t patience = deadline_in(PATIENCE / 1000);

	while (!has_ended(unmount)) {
		struct pollfd waits[] = {
			{ .fd = interrupt, .events = POLLIN },
			{ .fd = is_worked_at(unmount) ? unmount->worker_fd : unmount->server_fd,
			  .events = POLLIN },
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
		if (waits[1].fd < 0 && left > PERIOD)
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
	unmount->worker_fd = close_fd(unmount->worker_fd);
}
