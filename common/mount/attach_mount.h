/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attaching a FUSE mount to its mountpoint, or discarding it.
 *
 * Privilege is raised only around the system calls that need it.
 */
#pragma once

/*
 * A mount made by create_mount() that is not finished yet. With the new mount API (Linux 5.2) it is
 * detached and not visible. Without it, mount(2) has attached it already.
 */
struct fuse_mount {
	int fd;   /* the detached mount, or -1 */
	int root; /* O_PATH: the root of a mount made by mount(2), or -1 */
};

/* clang-format off */
#define FUSE_MOUNT_NONE ((struct fuse_mount){ .fd = -1, .root = -1 })
/* clang-format on */

/*
 * Attach MOUNT to MOUNTPOINT, an O_PATH file descriptor, with move_mount(2). If mount(2) has
 * attached it already, keep it. Return 0, and MOUNT owns nothing; or a negative errno, and MOUNT is
 * unchanged.
 */
int attach_mount(struct fuse_mount *mount, int mountpoint);

/*
 * Discard the mount that MOUNT owns, if any. Abort its FUSE connection first, so that the kernel
 * does not wait for a hostile server.
 */
void discard_mount(struct fuse_mount *mount);
