/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening of files for the service, with the caller's rights. request_policy.h has decided whether
 * the path may be opened; this module checks the file.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct open_file_request {
	const char *path;
	uint32_t flags;      /* O_*, already checked by request_policy_check_open() */
	bool must_be_block;  /* require a block device */
	bool kernel_claims;  /* fuseblk: the kernel will open the device exclusively */
	uint32_t block_size; /* block size to set on a block device, or 0 */
};

/* An opened file, released by open_file_close(). */
struct opened_file {
	int fd;            /* close-on-exec */
	int private_mount; /* a mount of this file only, or -1 */
};

#define OPENED_FILE_NONE ((struct opened_file){ .fd = -1, .private_mount = -1 })

/*
 * Open a regular file or a block device.
 *
 * A regular file is opened through a private mount of it, if the kernel and the caller's rights
 * permit that (Linux 5.12, CAP_SYS_ADMIN). Then the service cannot reopen a read-only file for
 * writing through /proc/self/fd, even if every user may write it, and cannot execute it. Releasing
 * that mount takes time: call open_file_close() after the file descriptor has been sent.
 *
 * A block device is opened for writing with O_EXCL, which fails with EBUSY if it is mounted or
 * another program uses it exclusively. For fuseblk, where the kernel opens the device exclusively
 * itself, only check that this is possible.
 *
 * Return 0; -ENOTBLK, -EISDIR or -EACCES for another type of file; -EBUSY for a device in use; or
 * an error of open(2). Store the reason, for a message, or NULL in *REASON. In all cases the caller
 * releases OPENED with open_file_close().
 */
int open_file(const struct open_file_request *request, struct opened_file *opened,
	      const char **reason);

void open_file_close(struct opened_file *opened);

#define _cleanup_opened_file_ __attribute__((cleanup(open_file_close)))
