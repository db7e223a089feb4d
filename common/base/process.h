/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process, told from others that have had its number before, or will.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
	pid_t pid;      /* 0: none, or not known */
	uint64_t start; /* clock ticks after boot: field 22 of /proc/PID/stat, see proc(5) */
};

/*
 * Which process has the number PID now. Returns 0, or a negative errno: -ENOENT where there is none
 * that the caller may know of.
 */
int process_identify(pid_t pid, struct process *process);

/* All processes that the caller may know of, as they are at one time. */
struct processes {
	struct process_entry {
		pid_t pid, parent;
		int64_t memory; /* resident, in bytes */
		int64_t family; /* the same of all that have come from it, itself included */
	} * entries;            /* by pid */
	size_t count;
};

/* Returns 0 or a negative errno; processes_free() releases PROCESSES either way. */
int processes_load(struct processes *processes);

/* The resident memory, in bytes, of PID and all processes that have come from it; 0: not known. */
int64_t processes_get_tree_memory(const struct processes *processes, pid_t pid);

void processes_free(struct processes *processes);
