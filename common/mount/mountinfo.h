/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's mount table: /proc/self/mountinfo (proc(5)) or statmount(2). Reading it never
 * involves a filesystem, so a hanging server cannot block the reader.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

struct mountinfo {
	int id, parent;
	unsigned int major, minor;
	char *target, *type, *source,
		*options; /* without escapes; options are those of the superblock */
	char *line;       /* the buffer of these strings */
};

/* Open the mount table. Return the file, or NULL and errno. */
FILE *mountinfo_open(void);

/*
 * Read the next mount of TABLE into MOUNT and free its previous contents. Return 1, 0 at the end,
 * or a negative errno.
 */
int mountinfo_next(FILE *table, struct mountinfo *mount);

/*
 * Find the mount of FD (O_PATH is enough). MOUNT may lack SOURCE and the subtype in TYPE. Before
 * Linux 6.12 the time is proportional to the number of mounts. Return 0, -EINVAL if the mount is
 * not visible, or another negative errno.
 */
int mountinfo_find_by_fd(int fd, struct mountinfo *mount);

void mountinfo_free(struct mountinfo *mount);

#define _cleanup_mountinfo_ __attribute__((cleanup(mountinfo_free)))

/* Replace the escapes \NNN of the kernel and libmount in TEXT. Return TEXT, which may be NULL. */
char *mountinfo_unescape(char *text);

/* Return true if the type is fuse or fuseblk, with or without a subtype. */
bool mountinfo_is_fuse(const struct mountinfo *mount);

/* Return true if it is a FUSE mount of USER. */
bool mountinfo_belongs_to(const struct mountinfo *mount, uid_t user);

/*
 * Return 1 if the number of FUSE mounts of all users is at least LIMIT, as counted by fusermount3;
 * 0 if it is less; or a negative errno. Before Linux 6.8 the time is proportional to the number of
 * mounts.
 */
int mountinfo_reaches_fuse_limit(long limit);

/*
 * Return the mount ID of FD (O_PATH is enough; Linux 3.15), or a negative errno. Only the kernel is
 * asked.
 */
int mountinfo_get_id(int fd);
