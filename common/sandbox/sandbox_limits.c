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

#define MOST_FILES  1024
#define MOST_LOCKED (8UL << 20)

/* How much larger than its memory the address space of a process may be: some programs reserve
 * much and use little. */
#define ADDRESSES 4

/*
 * Of -1000 to 1000: before others, and not before those that ask to be. The machine's own root is
 * to go last, but where its cgroup alone has no memory left.
 */
#define OUT_OF_MEMORY_SCORE      "500"
#define OUT_OF_MEMORY_SCORE_ROOT "-900"

#define CGROUP      "fsvc"
#define CONTROLLERS "+memory +pids"

static int write_at(int directory, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(directory, name, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int limit(int resource, rlim_t most)
{
	struct rlimit now;

	if (getrlimit((unsigned int)resource, &now) < 0)
		return -errno;
	/* What is lower already cannot be raised by everybody, and need not be. */
	if (now.rlim_max > most)
		now.rlim_max = most;
	if (now.rlim_cur > now.rlim_max)
		now.rlim_cur = now.rlim_max;
	return setrlimit((unsigned int)resource, &now) < 0 ? -errno : 0;
}

int sandbox_limits_apply(const struct limits *limits, bool together, int proc)
{
	const struct {
		int resource;
		rlim_t most;
	} table[] = {
		{ RLIMIT_DATA, limits->memory },
		{ RLIMIT_AS, together ? RLIM_INFINITY : limits->memory * ADDRESSES },
		{ RLIMIT_NPROC, limits->processes },
		/* Descriptors that a user has under way to others are measured by it too: all
		 * of root's. */
		{ RLIMIT_NOFILE, limits->as_root ? RLIM_INFINITY : MOST_FILES },
		{ RLIMIT_MEMLOCK, MOST_LOCKED },
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_MSGQUEUE, 0 },
		{ RLIMIT_NICE, 0 },
		{ RLIMIT_RTPRIO, 0 },
	};
	int error = write_at(proc, "self/oom_score_adj",
			     limits->as_root ? OUT_OF_MEMORY_SCORE_ROOT : OUT_OF_MEMORY_SCORE);

	/* To go later than others takes CAP_SYS_RESOURCE, which root has not in every container. */
	if (limits->as_root && error == -EACCES)
		error = 0;

	for (size_t i = 0; error == 0 && i < ARRAY_SIZE(table); i++)
		error = limit(table[i].resource, table[i].most);
	return error;
}

/* The filesystem of all cgroups, whether or where it is mounted. */
static int open_all_cgroups(void)
{
	_cleanup_close_ int context = new_mount_api_fsopen("cgroup2");
	int all;

	if (context < 0 || new_mount_api_fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	all = new_mount_api_fsmount(context,
				    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return all < 0 ? -errno : all;
}

/* Its number is the first in the name. That of one that lives may be about to be entered. */
static bool has_ended(const char *name)
{
	pid_t pid = atoi(name);

	return pid > 0 && kill(pid, 0) < 0 && errno == ESRCH;
}

/* Those of a listener that has ended before its services. */
static void remove_empty(int cgroup)
{
	_cleanup_directory_ DIR *directory = NULL;
	_cleanup_close_ int fd = openat(cgroup, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;

	directory = fd < 0 ? NULL : fdopendir(fd);
	if (!directory)
		return;
	take_fd(&fd);
	while ((entry = readdir(directory)))
		if (has_ended(entry->d_name))
			unlinkat(cgroup, entry->d_name, AT_REMOVEDIR);
}

int sandbox_limits_open_cgroup(void)
{
	_cleanup_close_ int all = open_all_cgroups(), own = -1;
	int error;

	if (all < 0)
		return all;
	error = write_at(all, "cgroup.subtree_control", CONTROLLERS);
	if (error < 0)
		return error;
	if (mkdirat(all, CGROUP, 0755) < 0 && errno != EEXIST)
		return -errno;
	own = openat(all, CGROUP, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (own < 0)
		return -errno;
	error = write_at(own, "cgroup.subtree_control", CONTROLLERS);
	if (error < 0)
		return error;
	remove_empty(own);
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
		error = 0; /* a kernel without swap */
	return error < 0 ? error : write_at(own, "cgroup.procs", "0");
}

void sandbox_limits_remove_cgroup(int cgroup, const char *name)
{
	unlinkat(cgroup, name, AT_REMOVEDIR);
}
