/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mount/unmount.h"

#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/fdpath.h"
#include "base/interrupt.h"
#include "base/new_syscalls.h"
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

/*
 * The delay of the progress message, and the poll interval if the kernel has no file descriptor for
 * the event.
 */
#define PROGRESS_AFTER_S 2
#define POLL_INTERVAL_MS 100

/* Find the mount of FD. Return -EINVAL if FD is not its root. */
static int find_mount_at(int fd, struct mountinfo *mount)
{
	char path[PATH_MAX];
	int error = mountinfo_find_by_fd(fd, mount);

	if (error == 0)
		error = fd_current_path(fd, path);
	if (error < 0)
		return error;
	return strcmp(path, mount->target) == 0 ? 0 : -EINVAL;
}

/*
 * Return true if SHOWN, the source in the mount table, is SOURCE, which the kernel may have
 * truncated.
 */
static bool is_source(const char *shown, const char *source)
{
	size_t length = strlen(shown);

	return strcmp(shown, source) == 0 ||
	       (length == FUSE_MOUNT_MAX_SOURCE && strncmp(shown, source, length) == 0);
}

/*
 * Find the only FUSE mount of SOURCE. If a relative path exists, it must be the same file: a server
 * started in another directory may show the same relative path for another file.
 */
static int find_source(const char *source, char **targetp)
{
	_cleanup_mountinfo_ struct mountinfo mount = { 0 };
	_cleanup_file_ FILE *table = mountinfo_open();
	_cleanup_free_ char *absolute = realpath(source, NULL);
	bool may_compare_text = !absolute || source[0] == '/';
	int more = table ? 0 : -errno;

	while (table && (more = mountinfo_next(table, &mount)) > 0) {
		if (!mountinfo_is_fuse(&mount) ||
		    !((may_compare_text && is_source(mount.source, source)) ||
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

/* O_PATH: the kernel does not ask the server, and no permission is needed. */
static int open_mountpoint(const char *path, struct unmount *unmount)
{
	unmount->fd = open(path, O_PATH | O_CLOEXEC);
	return unmount->fd < 0 ? -errno : find_mount_at(unmount->fd, &unmount->mount);
}

/* Find the recorded server if it is still running. */
static void find_server(struct unmount *unmount)
{
	struct process recorded, found;

	if (utab_find_server(unmount->mount.target, &recorded) < 0)
		return;
	unmount->server_fd = (int)syscall(SYS_pidfd_open, recorded.pid, 0);
	/*
	 * Identify the process after opening the pidfd: the process ID cannot be reused in between.
	 */
	if (process_identify(recorded.pid, &found) == 0 && found.start == recorded.start)
		unmount->server = found;
	else
		unmount->server_fd = close_fd(unmount->server_fd);
	unmount->worker_fd = close_fd(unmount->worker_fd);
}

int unmount_find(const char *name, struct unmount *unmount)
{
	_cleanup_free_ char *target = NULL;
	int first_error = open_mountpoint(name, unmount), error = first_error;

	if (first_error < 0) {
		unmount->fd = close_fd(unmount->fd);
		error = find_source(name, &target);
		if (error == 0)
			error = open_mountpoint(target, unmount);
		else if (error == -EINVAL)
			error = first_error;
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

static int call_umount(const char *path, int flags)
{
	int error;

	privs_raise();
	error = umount2(path, flags) < 0 ? -errno : 0;
	privs_lower();
	return error;
}

/* The mountpoint as a name in its open parent directory. */
struct mountpoint_name {
	int directory;
	const char *name;
};

/* Return 1 if the mount is the visible one, 0 if not, or a negative errno. */
static int is_visible_at(const struct mountpoint_name *mountpoint, const struct unmount *unmount)
{
	_cleanup_close_ int fd =
		openat(mountpoint->directory, mountpoint->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int id = fd < 0 ? -errno : mountinfo_get_id(fd);

	return id < 0 ? id : id == unmount->mount.id;
}

/*
 * Unmount in the worker process and send the result. Standard output and error are closed first, so
 * that a pipe reader of this program does not wait for the worker.
 */
static _Noreturn void run_worker(int answer, const char *path, int flags)
{
	int error;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		close(fd);
	error = call_umount(path, flags);
	(void)!write(answer, &error, sizeof(error));
	_exit(0);
}

/*
 * Call umount2(2) in a worker process. For fuseblk the call cannot be killed until the device has
 * written everything and the server has answered; a hostile server never answers.
 */
static int start_worker(struct unmount *unmount, const char *path, int flags)
{
	sigset_t mask;
	int ends[2];
	pid_t worker;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	/* Ctrl-C must not reach the worker. */
	interrupt_block(&mask);
	worker = fork();
	if (worker == 0)
		run_worker(ends[1], path, flags);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	close(ends[1]);
	unmount->worker_fd = ends[0];
	if (worker >= 0)
		return 0;
	unmount->worker_fd = close_fd(unmount->worker_fd);
	return -EAGAIN;
}

/*
 * Wait until the worker has answered or the mount is no longer visible. Return 0 or a negative
 * errno.
 */
static int wait_for_worker(struct unmount *unmount, const struct mountpoint_name *mountpoint)
{
	struct pollfd answer = { .fd = unmount->worker_fd, .events = POLLIN };
	int error = -EIO; /* if the worker was killed */

	while (poll(&answer, 1, POLL_INTERVAL_MS) <= 0)
		if (is_visible_at(mountpoint, unmount) != 1)
			return 0;
	if (read(unmount->worker_fd, &error, sizeof(error)) < 0)
		error = -errno;
	unmount->worker_fd = close_fd(unmount->worker_fd);
	return error;
}

/*
 * Unmount by the name of the mountpoint in its parent directory: a mountpoint cannot be renamed or
 * removed. A file descriptor of the mount would keep it busy, and its /proc path leads to whatever
 * is mounted on top of it, perhaps by another user.
 */
static int unmount_by_name(struct unmount *unmount, int flags)
{
	_cleanup_free_ char *directory = strdup(unmount->mount.target), *path = NULL;
	_cleanup_close_ int parent = -1;
	char *name = directory ? strrchr(directory, '/') : NULL;
	struct mountpoint_name mountpoint;
	int is_visible;

	if (!name)
		return directory ? -EINVAL : -ENOMEM;
	*name++ = '\0';
	if (!*name)
		return -EBUSY; /* the root directory is always busy */
	parent = open(*directory ? directory : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return -errno;
	mountpoint = (struct mountpoint_name){ parent, name };
	is_visible = is_visible_at(&mountpoint, unmount);
	if (is_visible <= 0)
		return is_visible < 0 ? is_visible : -ESTALE;
	if (asprintf(&path, "%s/%s", fd_path(parent).text, name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	unmount->fd = close_fd(unmount->fd);
	flags |= UMOUNT_NOFOLLOW;
	/* If no process can be started, unmount in this one. */
	return start_worker(unmount, path, flags) < 0 ? call_umount(path, flags)
						      : wait_for_worker(unmount, &mountpoint);
}

int unmount_run(struct unmount *unmount, int flags)
{
	int error = unmount_by_name(unmount, (flags & UNMOUNT_FORCE ? MNT_FORCE : 0) |
						     (flags & UNMOUNT_LAZY ? MNT_DETACH : 0));

	if (error == 0)
		utab_remove_mount(unmount->mount.target);
	return error;
}

static bool is_readable(int fd)
{
	struct pollfd waits = { .fd = fd, .events = POLLIN };

	return poll(&waits, 1, 0) > 0;
}

static bool is_worker_running(const struct unmount *unmount)
{
	return unmount->worker_fd >= 0 && !is_readable(unmount->worker_fd);
}

static bool has_ended(const struct unmount *unmount)
{
	struct process found;

	if (is_worker_running(unmount))
		return false;
	if (unmount->server.pid == 0)
		return true;
	if (unmount->server_fd >= 0)
		return is_readable(unmount->server_fd);
	return process_identify(unmount->server.pid, &found) < 0 ||
	       found.start != unmount->server.start;
}

int unmount_wait(const struct unmount *unmount, int64_t deadline, int interrupt,
		 void (*report_progress)(const struct unmount *unmount))
{
	int64_t progress_at = deadline_in(PROGRESS_AFTER_S);

	while (!has_ended(unmount)) {
		struct pollfd waits[] = {
			{ .fd = interrupt, .events = POLLIN },
			{ .fd = is_worker_running(unmount) ? unmount->worker_fd
							   : unmount->server_fd,
			  .events = POLLIN },
		};
		int left = deadline_left(deadline);

		if (left == 0)
			return -ETIMEDOUT;
		if (report_progress && deadline_left(progress_at) == 0) {
			report_progress(unmount);
			report_progress = NULL;
		}
		if (report_progress && left > deadline_left(progress_at))
			left = deadline_left(progress_at);
		if (waits[1].fd < 0 && left > POLL_INTERVAL_MS)
			left = POLL_INTERVAL_MS;
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
