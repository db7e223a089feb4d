/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sandbox of one service, as a table of layers in sandbox.c. The layers are applied in the
 * order of the table. Together they have the same effect as units/10-sandbox.conf with systemd.
 */
#pragma once

#include "sandbox/sandbox_limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sandbox {
	/* Set by the caller. */
	struct limits limits;
	char *const *paths;      /* extra paths to show, NULL-terminated; or NULL */
	const char *cgroup_name; /* name of the service's cgroup, unique */

	/* File descriptors opened by sandbox_open() outside the sandbox. */
	int proc;
	int process_namespace; /* process namespace of the caller; -1 if the kernel has none */
	int cgroup;            /* parent of the services' cgroups, or -1 */

	/* State. */
	bool has_mount_namespace;
	uid_t uid;
	int uid_lock; /* see sandbox_user.h */
};

#define SANDBOX_NONE                                                                               \
	((struct sandbox){ .proc = -1, .process_namespace = -1, .cgroup = -1, .uid_lock = -1 })

struct sandbox_layer {
	const char *name;    /* for --allow-missing */
	const char *feature; /* what the kernel must have, with the version that introduced it */
	const char *risk;    /* what is possible without this layer */
	bool optional;       /* a service may start without it if the kernel lacks the feature */
	int (*apply)(struct sandbox *sandbox);
};

/* A set of layers is a bit mask of 32 bits, bit N for row N of the table. */
#define SANDBOX_MAX_LAYERS 32

extern const struct sandbox_layer sandbox_layers[];
extern const size_t sandbox_layer_count;

/* Return true if no required layer is in MISSING, a set of layers. */
bool sandbox_has_required_layers(uint32_t missing);

/*
 * Open the files of the system that the layers need. SANDBOX must be SANDBOX_NONE except for the
 * members that the caller sets; sandbox_close() releases it.
 * Return 0 or a negative errno.
 */
int sandbox_open(struct sandbox *sandbox);

void sandbox_close(struct sandbox *sandbox);

/*
 * Apply all layers in a child process to find out which of them this system supports. ERRORS[N] is
 * set to 0 or the negative errno of layer N.
 * Return 0, or a negative errno if the child could not be started.
 */
int sandbox_try(struct sandbox *sandbox, int errors[SANDBOX_MAX_LAYERS]);

/*
 * Fork a child that becomes the first process of a new process namespace: if it exits, the kernel
 * kills its descendants (pid_namespaces(7)). If the layer of the process namespace is in MISSING,
 * this is a plain fork(2).
 * Return as fork(2) does.
 */
pid_t sandbox_fork(const struct sandbox *sandbox, uint32_t missing);

/*
 * Apply all layers except those in MISSING. Call it only in the child of sandbox_fork(), which must
 * have no other thread. The working directory becomes "/".
 * Return 0; or a negative errno, with the failed layer in *FAILEDP: the child must then exit.
 */
int sandbox_apply(struct sandbox *sandbox, uint32_t missing, const struct sandbox_layer **failedp);
