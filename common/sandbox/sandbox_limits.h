/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Resource limits of a sandboxed service: setrlimit(2) for each process, and a cgroup (version 2)
 * for all its processes together, if the kernel provides one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct limits {
	uint64_t memory; /* bytes */
	unsigned int processes;
	/*
	 * The service serves the root filesystem and runs with user ID 0. RLIMIT_NOFILE is then
	 * not lowered: the kernel also compares it with the number of file descriptors in flight in
	 * sockets (unix(7)), which it counts for all processes of root together.
	 */
	bool keep_root_user;
};

/*
 * Limit this process and its children, disable core dumps, and set the OOM score so that the kernel
 * kills a service early (for the root filesystem: late).
 *
 * HAS_CGROUP: a cgroup limits the memory of the whole service. If it is not set, the address space
 * of each process is limited too, which includes shared memory.
 * PROC: a file descriptor of the system's /proc.
 * Return 0 or a negative errno.
 */
int sandbox_limits_apply(const struct limits *limits, bool has_cgroup, int proc);

/*
 * Open the parent of the services' cgroups; create it if needed. Remove the cgroups in it that a
 * listener left behind: those that are empty and whose name begins with the ID of a process that no
 * longer exists.
 * Return a file descriptor, owned by the caller; or a negative errno, also if cgroup v2 does not
 * control both memory and processes on this system.
 */
int sandbox_limits_open_cgroup(void);

/*
 * Create the cgroup NAME in CGROUP, set LIMITS, and move this process into it.
 * Return 0 or a negative errno.
 */
int sandbox_limits_enter_cgroup(int cgroup, const char *name, const struct limits *limits);

/* Remove the cgroup NAME from CGROUP, if it is empty. */
void sandbox_limits_remove_cgroup(int cgroup, const char *name);
