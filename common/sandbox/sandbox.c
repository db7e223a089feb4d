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

/* The host name in the sandbox. */
#define HOST_NAME "fsvc"

/* The row of the layer that sandbox_fork() applies. */
#define PROCESS_NAMESPACE 0

static bool has_layer(uint32_t set, size_t layer)
{
	return set & 1U << layer;
}

static int unshare_one(int flag)
{
	return unshare(flag) < 0 ? -errno : 0;
}

/* CLONE_NEWPID takes effect only in a child, so sandbox_fork() has done it. */
static int check_process_namespace(struct sandbox *sandbox)
{
	(void)sandbox;
	return getpid() == 1 ? 0 : -ENOSYS;
}

static int enter_cgroup(struct sandbox *sandbox)
{
	return sandbox->cgroup < 0
		       ? -ENOSYS
		       : sandbox_limits_enter_cgroup(sandbox->cgroup, sandbox->cgroup_name,
						     &sandbox->limits);
}

static int unshare_cgroups(struct sandbox *sandbox)
{
	(void)sandbox;
	return unshare_one(CLONE_NEWCGROUP);
}

static int unshare_mounts(struct sandbox *sandbox)
{
	int error = unshare_one(CLONE_NEWNS);

	sandbox->has_mount_namespace = error == 0;
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

static int unshare_host_name(struct sandbox *sandbox)
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
	return sandbox->limits.keep_root_user
		       ? 0
		       : sandbox_user_choose(sandbox->proc, &sandbox->uid, &sandbox->uid_lock);
}

static int enter_root(struct sandbox *sandbox)
{
	/* Without a mount namespace this would change the mounts of the system. */
	return sandbox->has_mount_namespace ? sandbox_root_enter(sandbox->uid, sandbox->paths)
					    : -ENOSYS;
}

static int mount_proc(struct sandbox *sandbox)
{
	return sandbox->has_mount_namespace ? sandbox_root_mount_proc() : -ENOSYS;
}

/* Keep capabilities: later layers need them. */
static int become_user(struct sandbox *sandbox)
{
	int error = privs_clear_groups();

	if (error == 0)
		error = privs_switch_user(sandbox->uid, sandbox->uid, true);
	sandbox->uid_lock = close_fd(sandbox->uid_lock);
	return error;
}

/* The session keyring that a service would inherit may contain keys of root. */
static int join_new_keyring(struct sandbox *sandbox)
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

static int apply_landlock(struct sandbox *sandbox)
{
	(void)sandbox;
	return landlock_restrict();
}

static int filter_syscalls(struct sandbox *sandbox)
{
	(void)sandbox;
	/* The filter checks arguments of mmap(2) and mprotect(2). PR_SET_MDWE also covers memory
	 * that the kernel maps without such a call. */
	prctl(PR_SET_MDWE, 1, 0, 0, 0);
	return sandbox_syscalls_filter();
}

/*
 * No required layer depends on an optional one.
 *
 * The order matters: layers that need files of the system come before "root", layers that need
 * capabilities before "privileges", and the system call filter, which denies the calls of the other
 * layers, comes last.
 */
/* clang-format off */
const struct sandbox_layer sandbox_layers[] = {
	[PROCESS_NAMESPACE] =
	{ "processes",  "process namespace (Linux 3.8)",
	  "a service can see other processes, and its own processes can outlive it", false, check_process_namespace },
	{ "cgroup",     "cgroup v2",
	  "memory and process limits apply to each process, not to the whole service", true, enter_cgroup },
	{ "cgroups",    "cgroup namespace (Linux 4.6)",
	  "a service can see its position in the cgroup hierarchy", true, unshare_cgroups },
	{ "mounts",     "mount namespace (Linux 2.4.19)",
	  "a service shares the mounts of the system", false, unshare_mounts },
	{ "network",    "network namespace (Linux 2.6.29)",
	  "a service can use the network", false, unshare_network },
	{ "ipc",        "IPC namespace (Linux 2.6.30)",
	  "a service can use shared memory and message queues of other processes", false, unshare_ipc },
	{ "names",      "UTS namespace (Linux 2.6.19)",
	  "a service can see the host name", false, unshare_host_name },
	{ "limits",     "resource limits (Linux 2.6.36)",
	  "a process of a service can use any amount of memory", false, apply_limits },
	{ "nobody",     "an unused user ID (Linux 3.17)",
	  "a service shares its user ID with other processes", false, choose_user },
	{ "root",       "a private root directory (Linux 2.6.26)",
	  "a service can see the files of the system", false, enter_root },
	{ "proc",       "a private /proc (Linux 5.8)",
	  "a service can see and change settings of the system in /proc", false, mount_proc },
	{ "user",       "a change of the user ID (Linux 2.6.26)",
	  "a service runs as root", false, become_user },
	{ "keyring",    "a private session keyring (Linux 2.6.10)",
	  "a service can use the keys of the process that started fsvc-listen", false, join_new_keyring },
	{ "users",      "user namespace (Linux 3.8)",
	  "a service can see the user IDs of the system", true, enter_user_namespace },
	{ "privileges", "no_new_privs (Linux 3.5)",
	  "a service can keep or regain capabilities", false, drop_privileges },
	{ "landlock",   "Landlock (Linux 5.13)",
	  "a service can change its own program in memory and send signals to any process of its user", true, apply_landlock },
	{ "calls",      "seccomp filter (Linux 3.17)",
	  "a service can make any system call and execute memory that it can write to", false, filter_syscalls },
};
/* clang-format on */

const size_t sandbox_layer_count = ARRAY_SIZE(sandbox_layers);

_Static_assert(ARRAY_SIZE(sandbox_layers) <= SANDBOX_MAX_LAYERS, "a set of layers has 32 bits");

bool sandbox_has_required_layers(uint32_t missing)
{
	for (size_t i = 0; i < sandbox_layer_count; i++)
		if (has_layer(missing, i) && !sandbox_layers[i].optional)
			return false;
	return true;
}

int sandbox_open(struct sandbox *sandbox)
{
	sandbox->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	sandbox->process_namespace = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	if (sandbox->proc < 0 || (sandbox->process_namespace < 0 && errno != ENOENT))
		return -errno;
	sandbox->cgroup = sandbox_limits_open_cgroup();
	return 0;
}

void sandbox_close(struct sandbox *sandbox)
{
	close_fd(sandbox->proc);
	close_fd(sandbox->process_namespace);
	close_fd(sandbox->cgroup);
	close_fd(sandbox->uid_lock);
	*sandbox = SANDBOX_NONE;
}

pid_t sandbox_fork(const struct sandbox *sandbox, uint32_t missing)
{
	pid_t pid;
	int saved;

	/* If unshare(2) fails, check_process_namespace() reports it in the child. */
	if (has_layer(missing, PROCESS_NAMESPACE) || sandbox->process_namespace < 0 ||
	    unshare(CLONE_NEWPID) < 0)
		return fork();
	pid = fork();
	saved = errno;
	if (pid != 0 && setns(sandbox->process_namespace, CLONE_NEWPID) < 0)
		abort(); /* fork(2) would fail for ever: the namespace dies with its first process
			  */
	errno = saved;
	return pid;
}

int sandbox_apply(struct sandbox *sandbox, uint32_t missing, const struct sandbox_layer **failedp)
{
	for (size_t i = 0; i < sandbox_layer_count; i++) {
		int error = has_layer(missing, i) ? 0 : sandbox_layers[i].apply(sandbox);

		if (error < 0) {
			*failedp = &sandbox_layers[i];
			return error;
		}
	}
	umask(S_IRWXG | S_IRWXO);
	return 0;
}

static void __attribute__((noreturn)) try_layers(struct sandbox *sandbox, int report)
{
	int errors[SANDBOX_MAX_LAYERS] = { 0 };

	for (size_t i = 0; i < sandbox_layer_count; i++)
		errors[i] = sandbox_layers[i].apply(sandbox);
	_exit(write(report, errors, sizeof(errors)) != (ssize_t)sizeof(errors));
}

int sandbox_try(struct sandbox *sandbox, int errors[SANDBOX_MAX_LAYERS])
{
	_cleanup_close_ int reader = -1, writer = -1;
	int ends[2], status;
	ssize_t length;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	reader = ends[0];
	writer = ends[1];
	pid = sandbox_fork(sandbox, 0);
	if (pid < 0)
		return -errno;
	if (pid == 0)
		try_layers(sandbox, writer);
	writer = close_fd(writer);
	length = read(reader, errors, SANDBOX_MAX_LAYERS * sizeof(errors[0]));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (sandbox->cgroup >= 0)
		sandbox_limits_remove_cgroup(sandbox->cgroup, sandbox->cgroup_name);
	return length == (ssize_t)(SANDBOX_MAX_LAYERS * sizeof(errors[0])) ? 0 : -EIO;
}
