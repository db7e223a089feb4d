/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A "server" that has been taken over: it serves nothing, and tries everything. What it tries is
 * rows of tables, one file a theme; hostile.c runs them, each in a process of its own, and tells
 * how each ended.
 */
#pragma once

#include <errno.h>
#include <sys/types.h>

/* A pointer as the argument of a system call. */
#define P(...) ((long)(__VA_ARGS__))

#define WORDS 7

/*
 * One row. ATTACK returns 0 where it got what it wanted, or the negative errno that it was refused
 * with; WORDS are its own.
 */
struct attempt {
	const char *name;
	int (*attack)(const long *words);
	long words[WORDS];
};

/* What to aim at. */
extern struct target {
	const char *source, *mountpoint;
	int source_fd;   /* the source, opened for reading; -1 where that failed */
	pid_t starter;   /* fsvc-open, or whoever started this */
	pid_t victim;    /* the server of another mount */
	pid_t neighbour; /* the same, of a mount of this very type */
} target;

/* The tables, which end with a row without a name. */
extern const struct attempt on_files[], on_processes[], on_kernel[], on_memory[], on_fuse[];

/* The system call words[0] with the other words; what it returns above 0 is left open. */
int by_call(const long *words);

/* What a system call returned, as an attack returns it. */
static inline int outcome(long result)
{
	return result == -1 ? -errno : 0;
}
