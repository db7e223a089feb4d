/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sandbox/sandbox_limits.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/new_mount_api.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define MAX_FILES        1024
#define MAX_LOCKED_BYTES (8UL << 20)

/* The address space of a process may be this many times its memory limit: some programs reserve
 * much more than they use. */
#define ADDRESS_SPACE_FACTOR 4

/*
 * Values for /proc/PID/oom_score_adj (-1000 to 1000, proc(5)). The kernel kills a service before
 * other programs, except those that set a higher value. It kills the server of the root filesystem
 * last.
 */
#define OOM_SCORE      "500"
#define OOM_SCORE_ROOT "-900"

#define CGROUP      "fsvc"
#define CONTROLLERS "+memory +pids"

static int write_at(int directory, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(directory, name, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int set_limit(int resource, rlim_t max)
{
	struct rlimit now;

	if (getrlimit((unsigned int)resource, &now) < 0)
		return -errno;
	/* Only lower it: raising a limit needs CAP_SYS_RESOURCE. */
	if (now.rlim_max > max)
		now.rlim_max = max;
	if (now.rlim_cur > now.rlim_max)
		now.rlim_cur = now.rlim_max;
	return setrlimit((unsigned int)resource, &now) < 0 ? -errno : 0;
}

int sandbox_limits_apply(const struct limits *limits, bool has_cgroup, int proc)
{
	const struct {
		int resource;
		rlim_t max;
	} table[] = {
		{ RLIMIT_DATA, limits->memory },
		{ RLIMIT_AS, has_cgroup ? RLIM_INFINITY : limits->memory * ADDRESS_SPACE_FACTOR },
		{ RLIMIT_NPROC, limits->processes },
		/* The kernel also compares it with the number of file descriptors that the user has
		 * in flight in sockets (unix(7)): for root, those of all root processes. */
		{ RLIMIT_NOFILE, limits->keep_root_user ? RLIM_INFINITY : MAX_FILES },
		{ RLIMIT_MEMLOCK, MAX_LOCKED_BYTES },
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_MSGQUEUE, 0 },
		{ RLIMIT_NICE, 0 },
		{ RLIMIT_RTPRIO, 0 },
	};
	int error = write_at(proc, "self/oom_score_adj",
			     limits->keep_root_user ? OOM_SCORE_ROOT : OOM_SCORE);

	/* Lowering the score needs CAP_SYS_RESOURCE, which root lacks in some containers. */
	if (limits->keep_root_user && error == -EACCES)
		error = 0;

	for (size_t i = 0; error == 0 && i < ARRAY_SIZE(table); i++)
		error = set_limit(table[i].resource, table[i].max);
	return error;
}

/* Open the root of the cgroup v2 hierarchy. It need not be mounted. */
static int open_hierarchy(void)
{
	_cleanup_close_ int context = new_mount_api_fsopen("cgroup2");
	int root;

	if (context < 0 || new_mount_api_fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	root = new_mount_api_fsmount(context,
				     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return root < 0 ? -errno : root;
}

/*
 * Return true if the process that created the cgroup NAME no longer exists. Its process ID is the
 * first number in NAME. While that process exists, an empty cgroup must stay: a new service may be
 * about to enter it.
 */
static bool creator_has_ended(const char *name)
{
	pid_t pid = atoi(name);

	return pid > 0 && kill(pid, 0) < 0 && errno == ESRCH;
}

/* Remove the cgroups of listeners that exited before their services. */
static void remove_stale(int cgroup)
{
	_cleanup_directory_ DIR *directory = NULL;
	_cleanup_close_ int fd = openat(cgroup, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;

	directory = fd < 0 ? NULL : fdopendir(fd);
	if (!directory)
		return;
	take_fd(&fd);
	while ((entry = readdir(directory)))
		if (creator_has_ended(entry->d_name))
			unlinkat(cgroup, entry->d_name, AT_REMOVEDIR);
}

int sandbox_limits_open_cgroup(void)
{
	_cleanup_close_ int root = open_hierarchy(), own = -1;
	int error;

	if (root < 0)
		return root;
	error = write_at(root, "cgroup.subtree_control", CONTROLLERS);
	if (error < 0)
		return error;
	if (mkdirat(root, CGROUP, 0755) < 0 && errno != EEXIST)
		return -errno;
	own = openat(root, CGROUP, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (own < 0)
		return -errno;
	error = write_at(own, "cgroup.subtree_control", CONTROLLERS);
	if (error < 0)
		return error;
	remove_stale(own);
	return take_fd(&own);
}

int sandbox_limits_enter_cgroup(int cgroup, const char *name, const struct limits *limits)
{
	_cleanup_close_ int own = -1;
	char memory[32], processes[32];
	int error;

	snprintf(memory, sizeof(memory), "%" PRIu64, limits->memory);
	snprintf(processes, sizeof(processes), "%u", limits->processes);
	if (mkdirat(cgroup, name, 0755) < 0)
		return -errno;
	own = openat(cgroup, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (own < 0)
		return -errno;
	error = write_at(own, "memory.max", memory);
	if (error == 0)
		error = write_at(own, "pids.max", processes);
	if (error == 0)
		error = write_at(own, "memory.swap.max", "0");
	if (error == -ENOENT)
		error = 0; /* the kernel has no swap */
	return error < 0 ? error : write_at(own, "cgroup.procs", "0");
}

void sandbox_limits_remove_cgroup(int cgroup, const char *name)
{
	unlinkat(cgroup, name, AT_REMOVEDIR);
}
