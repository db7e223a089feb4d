/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mounts made by services: the FUSE mounts in mountinfo for which the mount table (utab)
 * records a server. No filesystem is accessed, because its server could block.
 */
#pragma once

#include "base/process.h"

/* Unknown values are NULL or negative. */
struct listed_mount {
	char *source, *target;
	char *type;            /* without "fuse." */
	char *user;            /* name of the user who mounted it, or the ID */
	int64_t uid;           /* user ID of the same user */
	struct process server; /* as recorded, running or not */
	int64_t pid;           /* process ID of the server, if it is running */
	char *unit;            /* systemd unit of the server */
	int64_t memory;        /* resident bytes of the server and its descendants */
	char *since;           /* start of the server: 2026-11-24T18:00:00+01:00 */
	size_t order;          /* position in mountinfo */
};

struct mount_list {
	struct listed_mount *items; /* sorted by target; the topmost mount of a target comes last */
	size_t count;
};

/* Load the list. Return 0 or a negative errno; mount_list_free() releases LIST in any case. */
int mount_list_load(struct mount_list *list);

void mount_list_free(struct mount_list *list);

#define _cleanup_mount_list_ __attribute__((cleanup(mount_list_free)))
