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

/* systemd's dynamic users: no other program gives these away. */
#define FIRST_USER 61184
#define LAST_USER  65519
#define USERS      (LAST_USER - FIRST_USER + 1)

/* The owner of /proc/PID is the process's effective user, whatever else it hides. */
static int mark_used(int proc, bool used[USERS])
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
			continue; /* none, or one that has just ended */
		if (status.st_uid >= FIRST_USER && status.st_uid <= LAST_USER)
			used[status.st_uid - FIRST_USER] = true;
	}
	return -errno;
}

/*
 * Locks USER for this process, who is to become it. Returns the lock; -EAGAIN where another does
 * the same or a process has it, which USED tells then; or another negative errno.
 */
static int take(int proc, unsigned int user, bool used[USERS])
{
	_cleanup_close_ int lock = lockfile_take(SERVICE_LOCK_FILE, FIRST_USER + user, false);
	int error = lock < 0 ? lock : 0;

	/* After the lock: who had it has become that user. */
	if (error == 0)
		error = mark_used(proc, used);
	if (error == 0 && used[user])
		error = -EAGAIN;
	return error < 0 ? error : take_fd(&lock);
}

int sandbox_user_choose(int proc, uid_t *uidp, int *lockp)
{
	bool used[USERS] = { false };
	unsigned int start = 0;

	/* Not the one that has just ended: what it has left somewhere would be the next one's. */
	if (getrandom(&start, sizeof(start), GRND_NONBLOCK) < 0)
		start = (unsigned int)getpid();
	for (unsigned int i = 0; i < USERS; i++) {
		unsigned int user = (start % USERS + i) % USERS;
		int lock = used[user] ? -EAGAIN : take(proc, user, used);

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

static int write_own(int proc, const char *name, const char *text)
{
	_cleanup_close_ int own = openat(proc, "self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = own < 0 ? -1 : openat(own, name, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

int sandbox_user_enter_namespace(int proc)
{
	char user[64], group[64];
	int error;

	snprintf(user, sizeof(user), "%u %u 1", geteuid(), geteuid());
	snprintf(group, sizeof(group), "%u %u 1", getegid(), getegid());
	/* One that has changed its user is root's in /proc until it says that it has no secrets. */
	if (unshare(CLONE_NEWUSER) < 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return -errno;
	error = write_own(proc, "uid_map", user);
	if (error == 0)
		error = write_own(proc, "setgroups", "deny");
	if (error == 0)
		error = write_own(proc, "gid_map", group);
	return error;
}
