/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A server that an attacker has taken over. It serves no filesystem but tries to leave the sandbox.
 * Each file hostile_*.c contains a table of attempts about one subject. hostile.c runs each attempt
 * in its own process and prints the result.
 */
#pragma once

#include <errno.h>
#include <sys/types.h>

/* Convert a pointer to an argument of a system call. */
#define P(...) ((long)(__VA_ARGS__))

#define MAX_ARGS 7

/* A row of the tables. */
struct attempt {
	const char *name;
	int (*run)(const long *args); /* returns 0 on success, a negative errno if refused */
	long args[MAX_ARGS];
};

/* The files and processes to attack. */
extern struct target {
	const char *source, *mountpoint;
	int source_fd;   /* opened for reading; -1 if that failed */
	pid_t parent;    /* fsvc-open in a sandbox */
	pid_t victim;    /* the server of a mount of another type */
	pid_t neighbour; /* the server of another mount of this type */
} target;

/* The tables. The last row has no name. */
extern const struct attempt file_attempts[], process_attempts[], kernel_attempts[],
	memory_attempts[], fuse_attempts[];

/* Make the system call args[0] with the other arguments. A returned file descriptor stays open. */
int call_syscall(const long *args);

/* Return 0 if a system call that returned RESULT succeeded, else the negative errno. */
static inline int syscall_error(long result)
{
	return result == -1 ? -errno : 0;
}
