/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sandbox of one service, piece by piece: a table, in contain.c, of what it consists of, whose
 * rows are done in their order. It gives what units/10-sandbox.conf asks systemd for.
 */
#pragma once

#include "sandbox/sandbox_limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sandbox {
	/* Set by the caller. */
	struct limits limits; /* as_root: it has no user of its own, see fsvc-listen(8) */
	char *const *paths;   /* to show beside the usual ones, NULL-terminated; or NULL */
	const char *name;     /* of its cgroup: no other service's */

	/* The machine's, from sandbox_open(). */
	int proc;
	int own_processes; /* the caller's process namespace */
	int cgroup;        /* for the cgroups of services, or -1 */

	/* How far it is. */
	bool has_mounts; /* of its own */
	uid_t uid;
	int lock; /* see containuser.h */
};

#define SANDBOX_NONE ((struct sandbox){ .proc = -1, .own_processes = -1, .cgroup = -1, .lock = -1 })

struct sandbox_layer {
	const char *name; /* for people and for options */
	const char *what; /* it does */
	const char *since;
	bool spared; /* whether a service may start without it where the kernel lacks it */
	int (*apply)(struct sandbox *sandbox);
};

/* At most so many, so that a set of them is a bit each in 32. */
#define SANDBOX_MAX_LAYERS 32

/* The table. */
extern const struct sandbox_layer sandbox_layers[];
extern const size_t sandbox_layer_count;

/* Whether a service without the pieces MISSING is contained by all but what is spared. */
bool sandbox_has_required_layers(uint32_t missing);

/* Opens what the pieces need of the machine. Returns 0 or a negative errno. */
int sandbox_open(struct sandbox *sandbox);

void sandbox_close(struct sandbox *sandbox);

/*
 * Tries all pieces in a process of their own: ERRORS gets 0 or a negative errno for each.
 * Returns 0, or a negative errno where it could not be tried.
 */
int sandbox_try(struct sandbox *sandbox, int errors[SANDBOX_MAX_LAYERS]);

/*
 * fork(2), with the child as the first process of a process namespace: when it ends, all that
 * came from it do. MISSING: the pieces to do without, a bit each by their place in the table.
 */
pid_t sandbox_fork(const struct sandbox *sandbox, uint32_t missing);

/*
 * For that child, of which no other thread may be: does all pieces but MISSING. Its working
 * directory is / afterwards. Returns 0; or a negative errno, *PIECE being the one that failed: then
 * it must end.
 */
int sandbox_apply(struct sandbox *sandbox, uint32_t missing, const struct sandbox_layer **piece);
