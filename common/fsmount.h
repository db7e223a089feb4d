/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mounting. With the new mount API (Linux 5.2) the mount is made where nobody sees it and appears,
 * by fsmount_attach(), when it works; without it, mount(2) makes it at once, and it is undone if it
 * does not come to that. Which one it is, only this module knows.
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
#define FSMOUNT_LONGEST_SOURCE 255

struct fsmount_request {
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

struct fsmount {
	int fd;   /* the detached mount, or -1 */
	int root; /* the root of the one that mount(2) has put in place (O_PATH), or -1 */
};

/* clang-format off */
#define FSMOUNT_NONE ((struct fsmount){ .fd = -1, .root = -1 })
/* clang-format on */

/*
 * Makes the superblock and its mount. MESSAGE of SIZE bytes gets what the kernel says about a
 * failure, or "".
 * Returns 0, and MOUNT owns the mount until fsmount_attach() or fsmount_discard(); or a negative
 * errno, and nothing is mounted.
 */
int fsmount_create(const struct fsmount_request *request, struct fsmount *mount, char *message,
		   size_t size);

/*
 * Puts the mount on MOUNTPOINT (O_PATH). Returns 0, and MOUNT owns nothing any more; or a negative
 * errno, and MOUNT still owns it.
 */
int fsmount_attach(struct fsmount *mount, int mountpoint);

/*
 * Drops what MOUNT owns, if anything. Never waits for the server, however it behaves.
 */
void fsmount_discard(struct fsmount *mount);
