/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opens a file for a service, with the caller's rights. Whether it may be opened was asked before,
 * of policy.h; here the file itself is looked at.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct openfile_request {
	const char *path;
	uint32_t flags;      /* O_*, as policy_open() has let through */
	bool must_be_block;  /* refuse anything but a block device */
	bool kernel_claims;  /* fuseblk: the kernel will claim the device itself */
	uint32_t block_size; /* set on a block device, unless 0 */
};

/*
 * Opens a regular file or a block device. A device opened for writing is opened exclusively, so
 * that nothing that is mounted or in use elsewhere is written twice; where the kernel claims it
 * later, it is only made sure that this can be.
 * *FDP: the descriptor, close-on-exec, which the caller owns. *WHY: why not, as in policy.h.
 * Returns 0 or a negative errno: -ENOTBLK, -EISDIR, -EACCES for what is neither; -EBUSY for a
 * device in use; or what open(2) says.
 */
int openfile(const struct openfile_request *request, int *fdp, const char **why);
