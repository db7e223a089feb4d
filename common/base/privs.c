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

/* Version 3 of capget(2) and capset(2) has 64 capabilities in two structs (Linux 2.6.26). */
struct capabilities {
	struct __user_cap_data_struct data[2];
};

#define MOUNT_CAPABILITIES (1U << CAP_SYS_ADMIN)
#define SETID_CAPABILITIES (1U << CAP_SETUID | 1U << CAP_SETGID)

/* The exit status of a child is the result, or this number plus an errno. */
#define ERRNO_OFFSET 100

static int get_capabilities(struct capabilities *set)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &header, set->data) < 0 ? -errno : 0;
}

static int set_capabilities(const struct capabilities *set)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capset, &header, set->data) < 0 ? -errno : 0;
}

int privs_open_standard_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* open(2) returns the lowest free number, which is FD. */
		if (open("/dev/null", O_RDWR) != fd)
			return -EBADF;
	}
	return 0;
}

bool privs_caller_is_root(void)
{
	return getuid() == 0;
}

/* Set all user and group IDs. Keep the permitted capabilities in KEEP. */
static int become(uid_t uid, gid_t gid, unsigned int keep)
{
	struct capabilities kept = { 0 };
	bool keeps_any;
	int error = get_capabilities(&kept);

	if (error < 0)
		return error;
	kept.data[0].permitted &= keep;
	kept.data[1].permitted = 0;
	for (int i = 0; i < 2; i++)
		kept.data[i].effective = kept.data[i].inheritable = 0;

	/*
	 * PR_SET_KEEPCAPS is set only if capabilities are kept: it fails if a sandbox has locked
	 * the securebits.
	 */
	keeps_any = kept.data[0].permitted != 0;
	if ((keeps_any && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		return -errno;
	error = set_capabilities(&kept);
	if (error < 0)
		return error;
	if (keeps_any && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
		return -errno;
	/*
	 * The caller must not trace or dump a process with capabilities that the caller does not
	 * have.
	 */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

int privs_become_caller(bool keep_mount_privileges)
{
	/*
	 * Root keeps everything. Any other caller may have got privileges from set-user-ID bits or
	 * file capabilities.
	 */
	if (getuid() == 0 && geteuid() == 0 && getgid() == getegid())
		return 0;
	return become(getuid(), getgid(),
		      USER_MOUNTS && keep_mount_privileges && !privs_caller_is_root()
			      ? MOUNT_CAPABILITIES | SETID_CAPABILITIES
			      : 0);
}

/*
 * A static executable cannot list the groups of a user, see account.h: it uses the primary group.
 */
static int join_groups(const char *name, gid_t gid)
{
	return (STATIC ? setgroups(1, &gid) : initgroups(name, gid)) < 0 ? -errno : 0;
}

/* The caller may have left SIGCHLD ignored, and then waitpid(2) would find no child. */
static pid_t start_child(void)
{
	pid_t child;

	signal(SIGCHLD, SIG_DFL);
	child = fork();
	return child < 0 ? -errno : child;
}

/*
 * Return the exit status of CHILD; -EIO if a signal killed it; or CHILD itself if it is negative.
 */
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

/* Become the user in the child of privs_run_as_user(). */
static int become_user(const char *name, uid_t uid, gid_t gid, pid_t parent)
{
	int error = join_groups(name, gid);

	if (error == 0)
		error = become(uid, gid, MOUNT_CAPABILITIES | SETID_CAPABILITIES);
	/* After the IDs: the kernel clears the parent-death signal when they change. */
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
		result = become_user(name, uid, gid, parent);
		if (result == 0)
			result = function(argument);
		_exit(result < 0 ? ERRNO_OFFSET - result : result);
	}
	result = wait_for_child(child);
	return result > ERRNO_OFFSET ? ERRNO_OFFSET - result : result;
}

/* Make the permitted capabilities in WANTED effective, and no others. */
static void set_effective(unsigned int wanted)
{
	int saved = errno;
	struct capabilities set;

	/* Root runs with its own privileges: nothing to raise, and nothing to remove. */
	if (USER_MOUNTS && !privs_caller_is_root() && get_capabilities(&set) == 0) {
		set.data[0].effective = set.data[0].permitted & wanted;
		set_capabilities(&set);
	}
	errno = saved;
}

void privs_raise(void)
{
	set_effective(MOUNT_CAPABILITIES);
}

void privs_lower(void)
{
	set_effective(0);
}

/*
 * Become root in the child of privs_run_as_root(). All IDs change, because the caller may signal a
 * process that has the caller's real or saved user ID.
 */
static int become_root(void)
{
	const struct capabilities none = { 0 };

	set_effective(SETID_CAPABILITIES);
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return -EPERM;
	setsid();
	clearenv();
	umask(S_IWGRP | S_IWOTH);
	/* If the caller has set a file size limit, write(2) fails instead of killing the child. */
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
	if (error < 0 || (set.data[0].permitted & SETID_CAPABILITIES) != SETID_CAPABILITIES)
		return -EPERM;
	child = start_child();
	if (child == 0) {
		error = become_root();
		_exit(-(error < 0 ? error : function(argument)));
	}
	error = wait_for_child(child);
	return error < 0 ? error : -error;
}

bool privs_find_any(const char **description)
{
	struct capabilities set;

	*description = "a capability";
	if (get_capabilities(&set) < 0)
		return true;
	for (int i = 0; i < 2; i++)
		if (set.data[i].effective || set.data[i].permitted || set.data[i].inheritable)
			return true;
	/* An ambient capability is always permitted and inheritable too, see capabilities(7). */
	*description = "no no_new_privs";
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}

int privs_switch_user(uid_t uid, gid_t gid, bool keep_capabilities)
{
	if (keep_capabilities &&
	    prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP) < 0)
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
		if (left.data[i].effective || left.data[i].permitted || left.data[i].inheritable)
			error = -EPERM;
	return error;
}

bool privs_can_drop_permanently(void)
{
	const unsigned int wanted = 1U << CAP_SETPCAP | 1U << CAP_SYS_ADMIN;
	struct capabilities set;

	return get_capabilities(&set) == 0 && (set.data[0].effective & wanted) == wanted;
}

/*
 * Clear the bounding set. That needs CAP_SETPCAP, which an earlier privs_lower() made ineffective.
 */
static int clear_bounding_set(void)
{
	struct capabilities set;
	int error = get_capabilities(&set);

	for (int i = 0; i < 2; i++)
		set.data[i].effective = set.data[i].permitted;
	if (error == 0)
		error = set_capabilities(&set);
	if (error == 0 &&
	    prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_SETUID_FIXUP |
					     SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NOROOT |
					     SECBIT_NOROOT_LOCKED) < 0)
		error = -errno;
	for (int number = 0; error == 0; number++) {
		int is_set = prctl(PR_CAPBSET_READ, number);

		if (is_set < 0)
			break;
		if (is_set && prctl(PR_CAPBSET_DROP, number) < 0)
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
