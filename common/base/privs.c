/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/privs.h"

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Version 3 of capget(2) and capset(2) speaks of 64 capabilities, in two words (Linux 2.6.26). */
struct capabilities {
	struct __user_cap_data_struct words[2];
};

#define TO_MOUNT   (1U << CAP_SYS_ADMIN)
#define TO_BE_ROOT (1U << CAP_SETUID | 1U << CAP_SETGID)

/* A child's exit code: a result, or behind these an errno. */
#define ERRORS 100

static int get_capabilities(struct capabilities *set)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &header, set->words) < 0 ? -errno : 0;
}

static int set_capabilities(const struct capabilities *set)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capset, &header, set->words) < 0 ? -errno : 0;
}

int privs_open_standard_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* open(2) takes the lowest free number: FD. */
		if (open("/dev/null", O_RDWR) != fd)
			return -EBADF;
	}
	return 0;
}

bool privs_caller_is_root(void)
{
	return getuid() == 0;
}

/* Becomes UID and GID in every id. Of the capabilities, those of KEEP stay permitted. */
static int become(uid_t uid, gid_t gid, unsigned int keep)
{
	struct capabilities kept = { 0 };
	bool keeps;
	int error = get_capabilities(&kept);

	if (error < 0)
		return error;
	kept.words[0].permitted &= keep;
	kept.words[1].permitted = 0;
	for (int i = 0; i < 2; i++)
		kept.words[i].effective = kept.words[i].inheritable = 0;

	/* A sandbox may have locked this. */
	keeps = kept.words[0].permitted != 0;
	if ((keeps && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		return -errno;
	error = set_capabilities(&kept);
	if (error < 0)
		return error;
	if (keeps && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
		return -errno;
	/* The caller must not trace or dump what holds a capability that the caller lacks. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

int privs_become_caller(bool mounts)
{
	/* Root is the caller already; anybody else may have got privileges by ids or by file. */
	if (getuid() == 0 && geteuid() == 0 && getgid() == getegid())
		return 0;
	return become(getuid(), getgid(),
		      USER_MOUNTS && mounts && !privs_caller_is_root() ? TO_MOUNT | TO_BE_ROOT : 0);
}

/* A static executable cannot ask who else is in a group, see account.h: there it is the primary one
 * alone. */
static int join_groups(const char *name, gid_t gid)
{
	return (STATIC ? setgroups(1, &gid) : initgroups(name, gid)) < 0 ? -errno : 0;
}

/* A caller may have left SIGCHLD ignored, and then there is no child to wait for. */
static pid_t start_child(void)
{
	pid_t child;

	signal(SIGCHLD, SIG_DFL);
	child = fork();
	return child < 0 ? -errno : child;
}

/* The exit code of CHILD; or a negative errno, also what CHILD is, and -EIO where it was killed. */
static int wait_for_child(pid_t child)
{
	int status;

	if (child < 0)
		return child;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

/* For the child of privs_run_as_user(). */
static int act_for(const char *name, uid_t uid, gid_t gid, pid_t parent)
{
	int error = join_groups(name, gid);

	if (error == 0)
		error = become(uid, gid, TO_MOUNT | TO_BE_ROOT);
	/* In this order: the kernel forgets it when ids change. */
	if (error == 0 && prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0)
		error = -errno;
	return error == 0 && getppid() != parent ? -EINTR : error;
}

int privs_run_as_user(const char *name, uid_t uid, gid_t gid, int (*function)(void *argument),
		      void *argument)
{
	pid_t parent = getpid(), child;
	int result;

	if (uid == getuid())
		return function(argument);
	if (!privs_caller_is_root())
		return -EPERM;
	child = start_child();
	if (child == 0) {
		result = act_for(name, uid, gid, parent);
		if (result == 0)
			result = function(argument);
		_exit(result < 0 ? ERRORS - result : result);
	}
	result = wait_for_child(child);
	return result > ERRORS ? ERRORS - result : result;
}

/* Makes those of WANTED effective that are permitted, and no others. */
static void set_effective(unsigned int wanted)
{
	int saved = errno;
	struct capabilities set;

	/* Root acts as itself: there is nothing to raise, and nothing of the caller's to take away.
	 */
	if (USER_MOUNTS && !privs_caller_is_root() && get_capabilities(&set) == 0) {
		set.words[0].effective = set.words[0].permitted & wanted;
		set_capabilities(&set);
	}
	errno = saved;
}

void privs_raise(void)
{
	set_effective(TO_MOUNT);
}

void privs_lower(void)
{
	set_effective(0);
}

/* For the child of privs_run_as_root(). What has the caller's ids no more, the caller cannot
 * signal. */
static int become_root(void)
{
	const struct capabilities none = { 0 };

	set_effective(TO_BE_ROOT);
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return -EPERM;
	setsid();
	clearenv();
	umask(S_IWGRP | S_IWOTH);
	/* A limit of the caller's on the size of files is an error then, and not the end. */
	signal(SIGXFSZ, SIG_IGN);
	return set_capabilities(&none);
}

int privs_run_as_root(int (*function)(void *argument), void *argument)
{
	struct capabilities set;
	pid_t child;
	int error;

	if (privs_caller_is_root())
		return function(argument);
	error = USER_MOUNTS ? get_capabilities(&set) : -EPERM;
	if (error < 0 || (set.words[0].permitted & TO_BE_ROOT) != TO_BE_ROOT)
		return -EPERM;
	child = start_child();
	if (child == 0) {
		error = become_root();
		_exit(-(error < 0 ? error : function(argument)));
	}
	error = wait_for_child(child);
	return error < 0 ? error : -error;
}

bool privs_find_any(const char **what)
{
	struct capabilities set;

	*what = "a capability";
	if (get_capabilities(&set) < 0)
		return true;
	for (int i = 0; i < 2; i++)
		if (set.words[i].effective || set.words[i].permitted || set.words[i].inheritable)
			return true;
	/* An ambient capability is always permitted and inheritable too, see capabilities(7). */
	*what = "no no_new_privs";
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}

int privs_switch_user(uid_t uid, gid_t gid, bool keep)
{
	if (keep && prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP) < 0)
		return -errno;
	return setgid(gid) < 0 || setuid(uid) < 0 ? -errno : 0;
}

int privs_clear_groups(void)
{
	return setgroups(0, NULL) < 0 ? -errno : 0;
}

int privs_clear_capabilities(void)
{
	const struct capabilities none = { 0 };
	struct capabilities left;
	int error = 0;

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return -errno;
	error = set_capabilities(&none);
	if (error == 0)
		error = get_capabilities(&left);
	for (int i = 0; error == 0 && i < 2; i++)
		if (left.words[i].effective || left.words[i].permitted || left.words[i].inheritable)
			error = -EPERM;
	return error;
}

bool privs_can_drop_permanently(void)
{
	const unsigned int wanted = 1U << CAP_SETPCAP | 1U << CAP_SYS_ADMIN;
	struct capabilities set;

	return get_capabilities(&set) == 0 && (set.words[0].effective & wanted) == wanted;
}

/* Dropping from the bounding set needs CAP_SETPCAP, which an earlier privs_lower() turned off. */
static int clear_bounding_set(void)
{
	struct capabilities set;
	int error = get_capabilities(&set);

	for (int i = 0; i < 2; i++)
		set.words[i].effective = set.words[i].permitted;
	if (error == 0)
		error = set_capabilities(&set);
	if (error == 0 &&
	    prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_SETUID_FIXUP |
					     SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NOROOT |
					     SECBIT_NOROOT_LOCKED) < 0)
		error = -errno;
	for (int number = 0; error == 0; number++) {
		int there = prctl(PR_CAPBSET_READ, number);

		if (there < 0)
			break;
		if (there && prctl(PR_CAPBSET_DROP, number) < 0)
			error = -errno;
	}
	return error;
}

int privs_drop_permanently(void)
{
	const struct capabilities none = { 0 };
	int error = clear_bounding_set();

	if (error == 0)
		error = set_capabilities(&none);
	if (error == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		error = -errno;
	return error;
}
