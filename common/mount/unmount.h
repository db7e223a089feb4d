/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One FUSE mount's end. No step asks the filesystem itself anything: its server may be dead or
 * hostile.
 */
#pragma once

#include "base/process.h"
#include "mount/mountinfo.h"

#include <stdint.h>

struct unmount {
	struct mountinfo mount;
	int fd;                /* on the mount's root (O_PATH), or -1 */
	struct process server; /* recorded, and alive when it was looked for; pid 0: none */
	int server_fd;         /* its pidfd(2), or -1 */
	int worker_fd;         /* readable when the kernel has done with it, or -1 */
};

/* clang-format off */
#define UNMOUNT_NONE ((struct unmount){ .fd = -1, .server_fd = -1, .worker_fd = -1 })
/* clang-format on */

/*
 * Finds the mount that WORD names: its mountpoint, in any spelling, or else its source. What it
 * finds is on top of others in the same place. UNMOUNT is UNMOUNT_NONE before, and unmount_free()
 * releases it, whatever is returned: 0; -EINVAL where nothing is mounted there; -ENOTUNIQ for the
 * source of several mounts; -EMEDIUMTYPE for a mount that is not FUSE's; -EPERM for one that is
 * another user's; or what open(2) says of WORD.
 */
int unmount_find(const char *word, struct unmount *unmount);

/* Ways to unmount: neither, one, or both. */
enum {
	UNMOUNT_ORDERLY = 0,
	UNMOUNT_FORCED = 1, /* umount2(2), MNT_FORCE: what is not written back yet is lost */
	UNMOUNT_LAZY = 2, /* MNT_DETACH: out of sight at once, ended when nobody uses it any more */
};

/*
 * Unmounts it, and takes its entry out of the mount table. The flags are those of umount2(2),
 * Linux 2.6.34. What is fuseblk is out of sight by then, and the kernel may still be waiting for
 * the device and the server: a process of its own does, which goes on whatever becomes of this one.
 * Returns 0; -EBUSY; -ESTALE where meanwhile another mount is in the place; or what umount2(2)
 * says.
 */
int unmount_run(struct unmount *unmount, int ways);

/*
 * Waits until the kernel has done with the mount and the server is gone, but no longer than until
 * DEADLINE (see channel.h), or until INTERRUPT, a signalfd(2), is readable. TELL, which may be
 * NULL, is called once when it takes longer than a person waits without a word.
 * Returns 0, also where no server is known; -ETIMEDOUT; or -EINTR.
 */
int unmount_wait(const struct unmount *unmount, int64_t deadline, int interrupt,
		 void (*tell)(const struct unmount *unmount));

void unmount_free(struct unmount *unmount);
