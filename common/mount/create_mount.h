/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Creation of a FUSE superblock and its mount.
 *
 * With the new mount API (Linux 5.2) the mount is detached and not visible until attach_mount().
 * Without it, mount(2) attaches it at once, and discard_mount() unmounts it if the server fails.
 * Only create_mount.c and attach_mount.c know the difference.
 *
 * Privilege is raised only around the system calls that need it.
 */
#pragma once

#include "mount/attach_mount.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * The maximum length of a mount's source, except for fuseblk. fsconfig(2) takes no more. The source
 * is truncated to it for mount(2) as well, so that the mount table is the same with both.
 */
#define FUSE_MOUNT_MAX_SOURCE 255

struct mount_spec {
	const char *subtype;
	bool fuseblk;
	const char *source;
	const char *options; /* comma-separated options for the kernel, or NULL */
	unsigned long flags; /* MS_* */
	int fusedev;         /* an open /dev/fuse, borrowed */
	int mountpoint;      /* O_PATH, borrowed */
	mode_t rootmode;     /* st_mode of the mountpoint */
	uid_t user;
	gid_t group;
};

/*
 * Create the superblock and the mount that SPEC describes. On failure, write the kernel's message,
 * or "", to MESSAGE of SIZE bytes.
 * Return 0, and MOUNT owns the mount until attach_mount() or discard_mount(); or a negative errno,
 * and nothing is mounted.
 */
int create_mount(const struct mount_spec *spec, struct fuse_mount *mount, char *message,
		 size_t size);
