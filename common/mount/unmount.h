/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unmounting of a FUSE mount. No step asks the filesystem: the server may be dead or hostile. */
#pragma once

#include "base/process.h"
#include "mount/mountinfo.h"

#include <stdint.h>

struct unmount {
	struct mountinfo mount;
	int fd;                /* O_PATH: the root of the mount, or -1 */
	struct process server; /* the recorded server, if it was still running; pid 0: none */
	int server_fd;         /* a pidfd(2) of the server, or -1 */
	int worker_fd; /* readable when umount2(2) has returned in the worker process, or -1 */
};

/* clang-format off */
#define UNMOUNT_NONE ((struct unmount){ .fd = -1, .server_fd = -1, .worker_fd = -1 })
/* clang-format on */

/*
 * Find the FUSE mount that NAME denotes: its mountpoint or, otherwise, its source. If several
 * mounts are stacked on the mountpoint, it is the topmost. UNMOUNT must be UNMOUNT_NONE, and the
 * caller releases it with unmount_free() in all cases. Return 0; -EINVAL if nothing is mounted
 * there; -ENOTUNIQ if NAME is the source of several mounts; -EMEDIUMTYPE if it is not a FUSE mount;
 * -EPERM if it is a mount of another user; or an error of open(2).
 */
int unmount_find(const char *name, struct unmount *unmount);

/* Flags of unmount_run(), which can be combined. */
enum {
	UNMOUNT_NORMAL = 0,
	UNMOUNT_FORCE = 1, /* MNT_FORCE: data that is not written back is lost */
	UNMOUNT_LAZY = 2,  /* MNT_DETACH: detach now, unmount when no longer busy */
};

/*
 * Unmount and remove the entry in utab. FLAGS are UNMOUNT_*; UMOUNT_NOFOLLOW (Linux 2.6.34) is
 * always added. umount2(2) of a fuseblk mount waits until the device and the server have answered.
 * A worker process makes the call, so that this process can exit earlier. Return 0; -EBUSY; -ESTALE
 * if the mount is no longer the topmost on its mountpoint; or an error of umount2(2).
 */
int unmount_run(struct unmount *unmount, int flags);

/*
 * Wait until the kernel has finished unmounting and the server has exited, at most until DEADLINE
 * (see deadline.h) or until INTERRUPT, a signalfd(2), is readable. If it takes longer than 2 s,
 * call REPORT_PROGRESS once unless it is NULL. Return 0, also if the server is unknown; -ETIMEDOUT;
 * or -EINTR.
 */
int unmount_wait(const struct unmount *unmount, int64_t deadline, int interrupt,
		 void (*report_progress)(const struct unmount *unmount));

void unmount_free(struct unmount *unmount);
