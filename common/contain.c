/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contain.h"

#include "cleanup.h"
#include "confine.h"
#include "containcalls.h"
#include "containroot.h"
#include "containuser.h"
#include "privs.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65 /* Linux 6.3 */
#endif

/* The name of a machine that is nobody's. */
#define HOST_NAME "fsvc"

static int unshare_one(int flag)
{
	return unshare(flag) < 0 ? -errno : 0;
}

/* Done by contain_fork(), since it takes effect in a child alone. */
static int check_processes(struct contain *contain)
{
	(void)contain;
	return getpid() == 1 ? 0 : -ENOSYS;
}

static int enter_cgroup(struct contain *contain)
{
	return contain->cgroup < 0 ? -ENOSYS
				   : containlimits_enter_cgroup(contain->cgroup, contain->name,
								&contain->limits);
}

/* Which is its place among all cgroups, as the root of what it sees. */
static int unshare_cgroups(struct contain *contain)
{
	(void)contain;
	return unshare_one(CLONE_NEWCGROUP);
}

static int unshare_mounts(struct contain *contain)
{
	int error = unshare_one(CLONE_NEWNS);

	contain->has_mounts = error == 0;
	return error;
}

static int unshare_network(struct contain *contain)
{
	(void)contain;
	return unshare_one(CLONE_NEWNET);
}

static int unshare_ipc(struct contain *contain)
{
	(void)contain;
	return unshare_one(CLONE_NEWIPC);
}

static int unshare_names(struct contain *contain)
{
	int error = unshare_one(CLONE_NEWUTS);

	(void)contain;
	if (error == 0 && sethostname(HOST_NAME, strlen(HOST_NAME)) < 0)
		error = -errno;
	return error;
}

static int apply_limits(struct contain *contain)
{
	return containlimits_apply(&contain->limits, contain->cgroup >= 0, contain->proc);
}

static int choose_user(struct contain *contain)
{
	contain->uid = 0;
	return contain->limits.as_root
		       ? 0
		       : containuser_choose(contain->proc, &contain->uid, &contain->lock);
}

static int enter_root(struct contain *contain)
{
	/* Never in the machine's own mounts. */
	return contain->has_mounts ? containroot_enter(contain->uid, contain->paths) : -ENOSYS;
}

static int mount_proc(struct contain *contain)
{
	return contain->has_mounts ? containroot_mount_proc() : -ENOSYS;
}

/* Capabilities stay for the pieces that follow. */
static int become_user(struct contain *contain)
{
	int error = privs_leave_groups();

	if (error == 0)
		error = privs_switch_user(contain->uid, contain->uid, true);
	contain->lock = close_fd(contain->lock);
	return error;
}

/* The one that it would inherit may hold root's keys. */
static int leave_keyring(struct contain *contain)
{
	(void)contain;
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		return -errno;
	return 0;
}

static int enter_user_namespace(struct contain *contain)
{
	return containuser_enter_namespace(contain->proc);
}

static int drop_privileges(struct contain *contain)
{
	(void)contain;
	return privs_drop_for_good();
}

static int confine_by_landlock(struct contain *contain)
{
	(void)contain;
	return confine();
}

static int filter_calls(struct contain *contain)
{
	(void)contain;
	/* The filter says the same; this also knows what the kernel does behind it. */
	prctl(PR_SET_MDWE, 1, 0, 0, 0);
	return containcalls_filter();
}

/*
 * What is spared is gained by no other piece's absence: each of the others holds without it. The
 * order: what needs the machine's files comes before "root", what needs capabilities before
 * "privileges", and what other pieces do not know of before "calls".
 */
/* clang-format off */
const struct contain_piece contain_pieces[] = {
	{ "processes",  "sees no processes but its own, and none survives it", "3.8", false, check_processes },
	{ "cgroup",     "has limits for all its processes together", "4.5", true, enter_cgroup },
	{ "cgroups",    "does not see its place among the machine's cgroups", "4.6", true, unshare_cgroups },
	{ "mounts",     "has mounts of its own", "2.4.19", false, unshare_mounts },
	{ "network",    "has no network", "2.6.29", false, unshare_network },
	{ "ipc",        "has no shared memory or queue of others", "2.6.30", false, unshare_ipc },
	{ "names",      "does not see the machine's name", "2.6.19", false, unshare_names },
	{ "limits",     "has limits for each of its processes", "2.6.36", false, apply_limits },
	{ "nobody",     "has a user that is nobody else's", "3.17", false, choose_user },
	{ "root",       "sees programs and libraries, read-only, and nothing else of the disk", "2.6.26", false, enter_root },
	{ "proc",       "sees its own processes in /proc, changes nothing there, and nothing else is there", "5.8", false, mount_proc },
	{ "user",       "has a user of its own, and no group", "2.6.26", false, become_user },
	{ "keyring",    "has none of its starter's keys", "2.6.10", false, leave_keyring },
	{ "users",      "sees no other user, not even root", "3.8", true, enter_user_namespace },
	{ "privileges", "has no capability, and cannot get any", "3.5", false, drop_privileges },
	{ "landlock",   "opens no file to write, by no name, and signals none but its own processes", "5.13", true, confine_by_landlock },
	{ "calls",      "does no system call but those that a server needs; no memory is writable and executable", "3.17", false, filter_calls },
};
/* clang-format on */

const size_t contain_count = sizeof(contain_pieces) / sizeof(contain_pieces[0]);

_Static_assert(sizeof(contain_pieces) / sizeof(contain_pieces[0]) <= CONTAIN_MOST,
	       "a set of pieces has a bit for each");

bool contain_is_whole(uint32_t missing)
{
	for (size_t i = 0; i < contain_count; i++)
		if ((missing & 1U << i) && !contain_pieces[i].spared)
			return false;
	return true;
}

int contain_open(struct contain *contain)
{
	contain->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	contain->own_processes = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	if (contain->proc < 0 || (contain->own_processes < 0 && errno != ENOENT))
		return -errno;
	contain->cgroup = containlimits_open_cgroup();
	return 0;
}

void contain_close(struct contain *contain)
{
	close_fd(contain->proc);
	close_fd(contain->own_processes);
	close_fd(contain->cgroup);
	close_fd(contain->lock);
	*contain = CONTAIN_NONE;
}

pid_t contain_fork(const struct contain *contain, uint32_t missing)
{
	pid_t pid;
	int saved;

	/* The first piece. Where it is missing, the child finds out. */
	if ((missing & 1) || contain->own_processes < 0 || unshare(CLONE_NEWPID) < 0)
		return fork();
	pid = fork();
	saved = errno;
	if (pid != 0 && setns(contain->own_processes, CLONE_NEWPID) < 0)
		abort(); /* all further children would be born dead */
	errno = saved;
	return pid;
}

int contain_apply(struct contain *contain, uint32_t missing, const struct contain_piece **piece)
{
	for (size_t i = 0; i < contain_count; i++) {
		int error = missing & 1U << i ? 0 : contain_pieces[i].apply(contain);

		if (error < 0) {
			*piece = &contain_pieces[i];
			return error;
		}
	}
	umask(S_IRWXG | S_IRWXO);
	return 0;
}

/* The child of contain_try(). */
static void __attribute__((noreturn)) try_pieces(struct contain *contain, int report)
{
	int errors[CONTAIN_MOST] = { 0 };

	for (size_t i = 0; i < contain_count; i++)
		errors[i] = contain_pieces[i].apply(contain);
	_exit(write(report, errors, sizeof(errors)) != (ssize_t)sizeof(errors));
}

int contain_try(struct contain *contain, int errors[CONTAIN_MOST])
{
	_cleanup_close_ int here = -1, there = -1;
	int ends[2], status;
	ssize_t length;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	here = ends[0];
	there = ends[1];
	pid = contain_fork(contain, 0);
	if (pid < 0)
		return -errno;
	if (pid == 0)
		try_pieces(contain, there);
	close_fd(take_fd(&there));
	length = read(here, errors, CONTAIN_MOST * sizeof(errors[0]));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (contain->cgroup >= 0)
		containlimits_remove_cgroup(contain->cgroup, contain->name);
	return length == (ssize_t)(CONTAIN_MOST * sizeof(errors[0])) ? 0 : -EIO;
}
