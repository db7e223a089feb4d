/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much a contained service may use: of each process by setrlimit(2), of all together by a
 * cgroup of version 2, where the kernel has that to give.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct limits {
	uint64_t memory; /* bytes */
	unsigned int processes;
	bool as_root; /* what the kernel counts by user is not this service's alone */
};

/*
 * Limits this process and what comes from it. TOGETHER: a cgroup limits the memory of all; else the
 * address space of each is limited too, which holds what they share. Also says that these processes
 * are among the first to go when memory runs out, and have no core file.
 * PROC: a descriptor of the machine's /proc. Returns 0 or a negative errno.
 */
int sandbox_limits_apply(const struct limits *limits, bool together, int proc);

/*
 * Finds or makes the cgroup in which each service gets its own, and removes those in it that nobody
 * is in any more and whose name begins with the number of no process. Returns a descriptor that the
 * caller owns, or a negative errno where cgroups of version 2 do not control both memory and
 * processes here.
 */
int sandbox_limits_open_cgroup(void);

/* Moves this process into a new cgroup NAME in CGROUP, limited. Returns 0 or a negative errno. */
int sandbox_limits_enter_cgroup(int cgroup, const char *name, const struct limits *limits);

/* Removes it, when nobody is in it. */
void sandbox_limits_remove_cgroup(int cgroup, const char *name);
