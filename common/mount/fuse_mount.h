/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mounting. With the new mount API (Linux 5.2) the mount is made where nobody sees it and appears,
 * by fuse_mount_attach(), when it works; without it, mount(2) makes it at once, and it is undone if
 * it does not come to that. Which one it is, only this module knows.
 *
 * The steps that need privilege raise it themselves, around the system calls alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * A source is a name to show, for all but fuseblk, and the kernel shows no more of it: fsconfig(2)
 * takes these many bytes, and what mount(2) is given is cut alike.
 */
#define FUSE_MOUNT_MAX_SOURCE 255

struct fuse_mount_request {
	const char *subtype;
	bool fuseblk;
	const char *source;
	const char *options; /* the kernel's, comma-separated, or NULL */
	unsigned long flags; /* MS_* */
	int fusedev;         /* an open /dev/fuse: borrowed */
	int mountpoint;      /* O_PATH: borrowed */
	mode_t rootmode;     /* the mountpoint's st_mode */
	uid_t user;
	gid_t group;
};

struct fuse_mount {
	int fd;   /* the detached mount, or -1 */
	int root; /* the root of the one that mount(2) has put in place (O_PATH), or -1 */
};

/* clang-format off */
#define FUSE_MOUNT_NONE ((struct fuse_mount){ .fd = -1, .root = -1 })
/* clang-format on */

/*
 * Makes the superblock and its mount. MESSAGE of SIZE bytes gets what the kernel says about a
 * failure, or "".
 * Returns 0, and MOUNT owns the mount until fuse_mount_attach() or fuse_mount_discard(); or a
 * negative errno, and nothing is mounted.
 */
int fuse_mount_create(const struct fuse_mount_request *request, struct fuse_mount *mount,
		      char *message, size_t size);

/*
 * Puts the mount on MOUNTPOINT (O_PATH). Returns 0, and MOUNT owns nothing any more; or a negative
 * errno, and MOUNT still owns it.
 */
int fuse_mount_attach(struct fuse_mount *mount, int mountpoint);

/*
 * Drops what MOUNT owns, if anything. Never waits for the server, however it behaves.
 */
void fuse_mount_discard(struct fuse_mount *mount);
