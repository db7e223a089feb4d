/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sandbox/sandbox.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/privs.h"
#include "sandbox/landlock.h"
#include "sandbox/sandbox_root.h"
#include "sandbox/sandbox_syscalls.h"
#include "sandbox/sandbox_user.h"

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

/* Done by sandbox_fork(), since it takes effect in a child alone. */
static int check_processes(struct sandbox *sandbox)
{
	(void)sandbox;
	return getpid() == 1 ? 0 : -ENOSYS;
}

static int enter_cgroup(struct sandbox *sandbox)
{
	return sandbox->cgroup < 0 ? -ENOSYS
				   : sandbox_limits_enter_cgroup(sandbox->cgroup, sandbox->name,
								 &sandbox->limits);
}

/* Which is its place among all cgroups, as the root of what it sees. */
static int unshare_cgroups(struct sandbox *sandbox)
{
	(void)sandbox;
	return unshare_one(CLONE_NEWCGROUP);
}

static int unshare_mounts(struct sandbox *sandbox)
{
	int error = unshare_one(CLONE_NEWNS);

	sandbox->has_mounts = error == 0;
	return error;
}

static int unshare_network(struct sandbox *sandbox)
{
	(void)sandbox;
	return unshare_one(CLONE_NEWNET);
}

static int unshare_ipc(struct sandbox *sandbox)
{
	(void)sandbox;
	return unshare_one(CLONE_NEWIPC);
}

static int unshare_names(struct sandbox *sandbox)
{
	int error = unshare_one(CLONE_NEWUTS);

	(void)sandbox;
	if (error == 0 && sethostname(HOST_NAME, strlen(HOST_NAME)) < 0)
		error = -errno;
	return error;
}

static int apply_limits(struct sandbox *sandbox)
{
	return sandbox_limits_apply(&sandbox->limits, sandbox->cgroup >= 0, sandbox->proc);
}

static int choose_user(struct sandbox *sandbox)
{
	sandbox->uid = 0;
	return sandbox->limits.as_root
		       ? 0
		       : sandbox_user_choose(sandbox->proc, &sandbox->uid, &sandbox->lock);
}

static int enter_root(struct sandbox *sandbox)
{
	/* Never in the machine's own mounts. */
	return sandbox->has_mounts ? sandbox_root_enter(sandbox->uid, sandbox->paths) : -ENOSYS;
}

static int mount_proc(struct sandbox *sandbox)
{
	return sandbox->has_mounts ? sandbox_root_mount_proc() : -ENOSYS;
}

/* Capabilities stay for the pieces that follow. */
static int become_user(struct sandbox *sandbox)
{
	int error = privs_clear_groups();

	if (error == 0)
		error = privs_switch_user(sandbox->uid, sandbox->uid, true);
	sandbox->lock = close_fd(sandbox->lock);
	return error;
}

/* The one that it would inherit may hold root's keys. */
static int leave_keyring(struct sandbox *sandbox)
{
	(void)sandbox;
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		return -errno;
	return 0;
}

static int enter_user_namespace(struct sandbox *sandbox)
{
	return sandbox_user_enter_namespace(sandbox->proc);
}

static int drop_privileges(struct sandbox *sandbox)
{
	(void)sandbox;
	return privs_drop_permanently();
}

static int confine_by_landlock(struct sandbox *sandbox)
{
	(void)sandbox;
	return landlock_restrict();
}

static int filter_calls(struct sandbox *sandbox)
{
	(void)sandbox;
	/* The filter says the same; this also knows what the kernel does behind it. */
	prctl(PR_SET_MDWE, 1, 0, 0, 0);
	return sandbox_syscalls_filter();
}

/*
 * What is spared is gained by no other piece's absence: each of the others holds without it. The
 * order: what needs the machine's files comes before "root", what needs capabilities before
 * "privileges", and what other pieces do not know of before "calls".
 */
/* clang-format off */
const struct sandbox_layer sandbox_layers[] = {
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

const size_t sandbox_layer_count = ARRAY_SIZE(sandbox_layers);

_Static_assert(ARRAY_SIZE(sandbox_layers) <= SANDBOX_MAX_LAYERS,
	       "a set of pieces has a bit for each");

bool sandbox_has_required_layers(uint32_t missing)
{
	for (size_t i = 0; i < sandbox_layer_count; i++)
		if ((missing & 1U << i) && !sandbox_layers[i].spared)
			return false;
	return true;
}

int sandbox_open(struct sandbox *sandbox)
{
	sandbox->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	sandbox->own_processes = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	if (sandbox->proc < 0 || (sandbox->own_processes < 0 && errno != ENOENT))
		return -errno;
	sandbox->cgroup = sandbox_limits_open_cgroup();
	return 0;
}

void sandbox_close(struct sandbox *sandbox)
{
	close_fd(sandbox->proc);
	close_fd(sandbox->own_processes);
	close_fd(sandbox->cgroup);
	close_fd(sandbox->lock);
	*sandbox = SANDBOX_NONE;
}

pid_t sandbox_fork(const struct sandbox *sandbox, uint32_t missing)
{
	pid_t pid;
	int saved;

	/* The first piece. Where it is missing, the child finds out. */
	if ((missing & 1) || sandbox->own_processes < 0 || unshare(CLONE_NEWPID) < 0)
		return fork();
	pid = fork();
	saved = errno;
	if (pid != 0 && setns(sandbox->own_processes, CLONE_NEWPID) < 0)
		abort(); /* all further children would be born dead */
	errno = saved;
	return pid;
}

int sandbox_apply(struct sandbox *sandbox, uint32_t missing, const struct sandbox_layer **piece)
{
	for (size_t i = 0; i < sandbox_layer_count; i++) {
		int error = missing & 1U << i ? 0 : sandbox_layers[i].apply(sandbox);

		if (error < 0) {
			*piece = &sandbox_layers[i];
			return error;
		}
	}
	umask(S_IRWXG | S_IRWXO);
	return 0;
}

/* The child of sandbox_try(). */
static void __attribute__((noreturn)) try_pieces(struct sandbox *sandbox, int report)
{
	int errors[SANDBOX_MAX_LAYERS] = { 0 };

	for (size_t i = 0; i < sandbox_layer_count; i++)
		errors[i] = sandbox_layers[i].apply(sandbox);
	_exit(write(report, errors, sizeof(errors)) != (ssize_t)sizeof(errors));
}

int sandbox_try(struct sandbox *sandbox, int errors[SANDBOX_MAX_LAYERS])
{
	_cleanup_close_ int here = -1, there = -1;
	int ends[2], status;
	ssize_t length;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	here = ends[0];
	there = ends[1];
	pid = sandbox_fork(sandbox, 0);
	if (pid < 0)
		return -errno;
	if (pid == 0)
		try_pieces(sandbox, there);
	close_fd(take_fd(&there));
	length = read(here, errors, SANDBOX_MAX_LAYERS * sizeof(errors[0]));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (sandbox->cgroup >= 0)
		sandbox_limits_remove_cgroup(sandbox->cgroup, sandbox->name);
	return length == (ssize_t)(SANDBOX_MAX_LAYERS * sizeof(errors[0])) ? 0 : -EIO;
}
