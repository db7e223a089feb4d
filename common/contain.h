/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sandbox of one service, piece by piece: a table, in contain.c, of what it consists of, whose
 * rows are done in their order. It gives what units/10-sandbox.conf asks systemd for.
 */
#pragma once

#include "containlimits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct contain {
	/* Set by the caller. */
	struct limits limits; /* as_root: it has no user of its own, see fsvc-listen(8) */
	char *const *paths;   /* to show beside the usual ones, NULL-terminated; or NULL */
	const char *name;     /* of its cgroup: no other service's */

	/* The machine's, from contain_open(). */
	int proc;
	int own_processes; /* the caller's process namespace */
	int cgroup;        /* for the cgroups of services, or -1 */

	/* How far it is. */
	bool has_mounts; /* of its own */
	uid_t uid;
	int lock; /* see containuser.h */
};

#define CONTAIN_NONE ((struct contain){ .proc = -1, .own_processes = -1, .cgroup = -1, .lock = -1 })

struct contain_piece {
	const char *name; /* for people and for options */
	const char *what; /* it does */
	const char *since;
	bool spared; /* whether a service may start without it where the kernel lacks it */
	int (*apply)(struct contain *contain);
};

/* At most so many, so that a set of them is a bit each in 32. */
#define CONTAIN_MOST 32

/* The table. */
extern const struct contain_piece contain_pieces[];
extern const size_t contain_count;

/* Whether a service without the pieces MISSING is contained by all but what is spared. */
bool contain_is_whole(uint32_t missing);

/* Opens what the pieces need of the machine. Returns 0 or a negative errno. */
int contain_open(struct contain *contain);

void contain_close(struct contain *contain);

/*
 * Tries all pieces in a process of their own: ERRORS gets 0 or a negative errno for each.
 * Returns 0, or a negative errno where it could not be tried.
 */
int contain_try(struct contain *contain, int errors[CONTAIN_MOST]);

/*
 * fork(2), with the child as the first process of a process namespace: when it ends, all that
 * came from it do. MISSING: the pieces to do without, a bit each by their place in the table.
 */
pid_t contain_fork(const struct contain *contain, uint32_t missing);

/*
 * For that child, of which no other thread may be: does all pieces but MISSING. Its working
 * directory is / afterwards. Returns 0; or a negative errno, *PIECE being the one that failed: then
 * it must end.
 */
int contain_apply(struct contain *contain, uint32_t missing, const struct contain_piece **piece);
