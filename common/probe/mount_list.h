/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is mounted by services: the mounts of the kernel's table for which user space's table
 * records a server, and what /proc tells of that. No filesystem is asked anything.
 */
#pragma once

#include "base/process.h"

/* What is not known is NULL, or negative. */
struct listed_mount {
	char *source, *target;
	char *type;            /* without "fuse." */
	char *user;            /* who has mounted it, by name if there is one */
	int64_t uid;           /* the same */
	struct process server; /* as it is recorded, alive or not */
	int64_t pid;           /* its, while it lives */
	char *unit;            /* of systemd, which it runs in */
	int64_t memory;        /* resident, in bytes, of it and all that has come from it */
	char *since;           /* when it was started: 2026-11-24T18:00:00+01:00 */
	size_t order;          /* in the kernel's table */
};

struct mount_list {
	struct listed_mount *items; /* by target; what is on top of others comes last */
	size_t count;
};

/* Returns 0 or a negative errno; mount_list_free() releases LIST either way. */
int mount_list_load(struct mount_list *list);

void mount_list_free(struct mount_list *list);

#define _cleanup_mount_list_ __attribute__((cleanup(mount_list_free)))
