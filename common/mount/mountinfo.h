/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's mount table, /proc/self/mountinfo, see proc(5), or statmount(2). To read it asks no
 * filesystem anything, so that none can make the reader wait.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

struct mountinfo {
	int id, parent;
	unsigned int major, minor;
	char *target, *type, *source, *options; /* the superblock's; names without escapes */
	char *line;                             /* what they point into */
};

/* Opens the table. Returns it, or NULL and errno. */
FILE *mountinfo_open(void);

/*
 * Reads the next mount of TABLE into MOUNT, releasing what was in there.
 * Returns 1, 0 at the end, or a negative errno.
 */
int mountinfo_next(FILE *table, struct mountinfo *mount);

/*
 * The mount that FD, which may be O_PATH, is on; MOUNT as above, but there may be no SOURCE, and
 * no subtype in TYPE. Before Linux 6.12 it takes the longer the more mounts there are.
 * Returns 0, -EINVAL where the mount cannot be seen from here, or another negative errno.
 */
int mountinfo_find_by_fd(int fd, struct mountinfo *mount);

void mountinfo_free(struct mountinfo *mount);

#define _cleanup_mountinfo_ __attribute__((cleanup(mountinfo_free)))

/* Replaces the kernel's and libmount's escapes, \NNN, in TEXT, and returns it. */
char *mountinfo_unescape(char *text);

/* Whether it is a FUSE filesystem, of either kind. */
bool mountinfo_is_fuse(const struct mountinfo *mount);

/* Whether it is a FUSE filesystem that was mounted for USER. */
bool mountinfo_belongs_to(const struct mountinfo *mount, uid_t user);

/*
 * Whether there are at least MOST FUSE mounts, everybody's, as fusermount3 counts. Before Linux 6.8
 * it takes the longer the more mounts there are.
 * Returns 1, 0, or a negative errno.
 */
int mountinfo_reaches_fuse_limit(long most);

/*
 * The id of the mount that FD, which may be O_PATH, is on (Linux 3.15). Nobody is asked but the
 * kernel. Returns it, or a negative errno.
 */
int mountinfo_get_id(int fd);
