/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sandbox/sandbox_user.h"

#include "base/cleanup.h"
#include "base/lockfile.h"
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>

/* The range of systemd's DynamicUser=. No other program assigns these IDs. */
#define FIRST_USER 61184
#define LAST_USER  65519
#define USER_COUNT (LAST_USER - FIRST_USER + 1)

/*
 * Set USED[N] for each user ID FIRST_USER + N that a process has. The owner of /proc/PID is the
 * effective user ID of the process. If /proc is mounted with hidepid=, it shows only processes that
 * this one may trace (CAP_SYS_PTRACE).
 */
static int find_used(int proc, bool used[USER_COUNT])
{
	_cleanup_directory_ DIR *directory = NULL;
	_cleanup_close_ int fd = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;

	directory = fd < 0 ? NULL : fdopendir(fd);
	if (!directory)
		return -errno;
	take_fd(&fd);
	for (errno = 0; (entry = readdir(directory)); errno = 0) {
		struct stat status;

		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
		    fstatat(proc, entry->d_name, &status, 0) < 0)
			continue; /* not a process, or one that has just exited */
		if (status.st_uid >= FIRST_USER && status.st_uid <= LAST_USER)
			used[status.st_uid - FIRST_USER] = true;
	}
	return -errno;
}

/*
 * Lock the user ID FIRST_USER + USER. Return the file descriptor of the lock; -EAGAIN if the ID is
 * locked, or in use, which also updates USED; or another negative errno.
 */
static int lock_user(int proc, unsigned int user, bool used[USER_COUNT])
{
	_cleanup_close_ int lock = lockfile_take(SERVICE_LOCK_FILE, FIRST_USER + user, false);
	int error = lock < 0 ? lock : 0;

	/* Check after locking: the previous holder of the lock has switched to this ID by now. */
	if (error == 0)
		error = find_used(proc, used);
	if (error == 0 && used[user])
		error = -EAGAIN;
	return error < 0 ? error : take_fd(&lock);
}

int sandbox_user_choose(int proc, uid_t *uidp, int *lockp)
{
	bool used[USER_COUNT] = { false };
	unsigned int start = 0;

	/*
	 * Start at a random ID: a service should not get the ID of an earlier service, and with it
	 * access to the objects that one left behind.
	 */
	if (getrandom(&start, sizeof(start), GRND_NONBLOCK) < 0)
		start = (unsigned int)getpid();
	for (unsigned int i = 0; i < USER_COUNT; i++) {
		unsigned int user = (start % USER_COUNT + i) % USER_COUNT;
		int lock = used[user] ? -EAGAIN : lock_user(proc, user, used);

		if (lock == -EAGAIN)
			continue;
		if (lock < 0)
			return lock;
		*uidp = FIRST_USER + user;
		*lockp = lock;
		return 0;
	}
	return -EUSERS;
}

static int write_self(int proc, const char *name, const char *text)
{
	_cleanup_close_ int self = openat(proc, "self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = self < 0 ? -1 : openat(self, name, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

int sandbox_user_enter_namespace(int proc)
{
	char user[64], group[64];
	int error;

	snprintf(user, sizeof(user), "%u %u 1", geteuid(), geteuid());
	snprintf(group, sizeof(group), "%u %u 1", getegid(), getegid());
	/* After a change of user ID, /proc/self belongs to root until the process is dumpable. */
	if (unshare(CLONE_NEWUSER) < 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return -errno;
	error = write_self(proc, "uid_map", user);
	if (error == 0)
		error = write_self(proc, "setgroups", "deny");
	if (error == 0)
		error = write_self(proc, "gid_map", group);
	return error;
}
