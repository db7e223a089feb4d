/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a service may have: only what the caller's command line grants, within what the caller may
 * grant. Questions and answers, no action: the answers depend on nothing that the service can move.
 *
 * Each question returns 0, or the negative errno for the service and in *WHY the end of a sentence
 * that begins with what was asked for: "/etc/shadow, which the command line does not name".
 */
#pragma once

#include "helper/fuse_conf.h"
#include "protocol/mount_args.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Opened beyond the command line, because the administrator says so for this type. */
struct policy_grant {
	char *path;
	bool write;
};

struct policy {
	const struct mount_args *args;
	bool root; /* the caller is */
	struct fuse_conf conf;
	struct policy_grant *grants;
	size_t grant_count;
};

/*
 * Prepares the questions about LINE, which must outlive POLICY: reads /etc/fuse.conf where the
 * caller is not root, and the administrator's file for the subtype, POLICY_DIR/SUBTYPE.conf.
 * Returns 0 or -ENOMEM; policy_free() releases it either way.
 */
int policy_load(struct policy *policy, const struct mount_args *args);

void policy_free(struct policy *policy);

/*
 * Reads an administrator's file, called NAME in warnings: lines "read PATH" and "write PATH" (which
 * includes reading), the path absolute and as the server spells it; '#' begins a comment. Anything
 * else grants nothing and is a warning with its line. Returns 0 or -ENOMEM.
 */
int policy_read_grants(struct policy *policy, FILE *file, const char *name);

/* Whether the mount is to be read-only, as far as the caller is concerned. */
bool policy_read_only(const struct policy *policy);

/* Whether the caller may show the files to others. */
bool policy_allows_other(const struct policy *policy);

/* May the service have PATH opened with FLAGS (O_*)? */
int policy_open(const struct policy *policy, const char *path, uint32_t flags, const char **why);

/* May the mount have this source? */
int policy_source(const struct policy *policy, const char *source, const char **why);

/*
 * May the kernel be given these OPTIONS, a list as the service sent it, with FUSEBLK or without?
 * *CLEANP: the list for the kernel, which the caller frees; NULL where it is empty.
 */
int policy_kernel_options(const struct policy *policy, const char *options, bool fuseblk,
			  char **cleanp, const char **why);

/*
 * Which of OPTIONS, a list as the service sent it, go into the mount table: those for user space
 * that the command line names too, but for those with a comma, a quote or a backslash in them; of a
 * user's also none that says which program umount(8) runs, and for whom. *KEPTP: that list, which
 * the caller frees; NULL where it is empty.
 */
int policy_table_options(const struct policy *policy, const char *options, char **keptp,
			 const char **why);

/*
 * May the mount have the MS_* flags ASKED? *FLAGSP: those that it gets: the service's, what the
 * caller's options restrict, and nosuid and nodev unless root has said otherwise.
 */
int policy_mount_flags(const struct policy *policy, uint32_t asked, unsigned long *flagsp,
		       const char **why);

/*
 * May the caller mount on what FD (O_PATH) refers to? Directories and regular files; for callers
 * other than root also the rules of fusermount3: it must be theirs to write, on a filesystem of the
 * kind that holds files, not in another's sticky directory, and below the limit of mounts.
 */
int policy_mountpoint(const struct policy *policy, int fd, const char **why);

/* May the caller have one mount more? A part of policy_mountpoint() that asks no filesystem. */
int policy_mount_count(const struct policy *policy, const char **why);

#define _cleanup_policy_ __attribute__((cleanup(policy_free)))
