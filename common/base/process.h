/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes, identified by process ID and start time, so that a reused process ID is not mistaken
 * for the same process.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
	pid_t pid;      /* 0: unknown */
	uint64_t start; /* clock ticks after boot: field 22 of /proc/PID/stat, see proc(5) */
};

/*
 * Identify the process that has the ID PID now. Return 0; or a negative errno, -ENOENT if no such
 * process is visible to the caller.
 */
int process_identify(pid_t pid, struct process *process);

/* A snapshot of all processes that are visible to the caller. */
struct processes {
	struct process_entry {
		pid_t pid, parent;
		int64_t memory;      /* resident memory in bytes */
		int64_t tree_memory; /* resident memory of the process and all its descendants, in
					bytes */
	} * entries;                 /* sorted by pid */
	size_t count;
};

/*
 * Load the snapshot. Return 0 or a negative errno. In both cases the caller releases PROCESSES with
 * processes_free().
 */
int processes_load(struct processes *processes);

/* Return the resident memory, in bytes, of PID and all its descendants, or 0 if PID is unknown. */
int64_t processes_get_tree_memory(const struct processes *processes, pid_t pid);

void processes_free(struct processes *processes);
