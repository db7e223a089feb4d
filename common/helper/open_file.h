/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opens a file for a service, with the caller's rights. Whether it may be opened was asked before,
 * of policy.h; here the file itself is looked at.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct open_file_request {
	const char *path;
	uint32_t flags;      /* O_*, as policy_open() has let through */
	bool must_be_block;  /* refuse anything but a block device */
	bool kernel_claims;  /* fuseblk: the kernel will claim the device itself */
	uint32_t block_size; /* set on a block device, unless 0 */
};

/* A file that was opened; open_file_close() closes both. */
struct opened_file {
	int fd;   /* close-on-exec */
	int wall; /* the mount that was made for it alone, or -1 */
};

#define OPENED_FILE_NONE ((struct opened_file){ .fd = -1, .wall = -1 })

/*
 * Opens a regular file or a block device.
 *
 * A regular file is opened through a mount of its own, where the kernel can and the caller may do
 * that (Linux 5.12, CAP_SYS_ADMIN): whoever gets the descriptor cannot open the file for writing
 * again by /proc/self/fd if it was opened for reading, although everybody may write it, and cannot
 * run what is in it. To give up that mount takes the kernel its time: open_file_close() is best
 * called when the descriptor has been handed over.
 *
 * A device opened for writing is opened exclusively, so that nothing that is mounted or in use
 * elsewhere is written twice; where the kernel claims it later, it is only made sure that this can
 * be.
 *
 * *WHY: why not, as in policy.h.
 * Returns 0 or a negative errno: -ENOTBLK, -EISDIR, -EACCES for what is neither; -EBUSY for a
 * device in use; or what open(2) says. Either way OPENED is to be closed.
 */
int open_file(const struct open_file_request *request, struct opened_file *opened,
	      const char **why);

void open_file_close(struct opened_file *opened);

#define _cleanup_opened_file_ __attribute__((cleanup(open_file_close)))
