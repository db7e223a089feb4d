/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process, told from others that have had its number before, or will.
 */
#pragma once

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
