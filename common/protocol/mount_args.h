/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of a mount: SOURCE MOUNTPOINT [-t TYPE] [-o OPTIONS] [what the server knows].
 * The helper reads it from the person, fsvc-open from the helper; both must read it alike.
 */
#pragma once

#include "base/options.h"

#include <stdbool.h>

struct mount_args {
	const char *source, *mountpoint; /* as they are spelled; NULL where missing */
	const char *type;                /* as it is spelled, or NULL */
	const char *subtype;             /* the type without "fuse." or "fuseblk.", or NULL */
	bool fuseblk;                    /* the type, or the option blkdev, says fuseblk */
	bool no_utab;                    /* -n: keep no entry in user space's mount table */
	char *option_list;        /* all options of all -o, one list; NULL where there is none */
	struct options options;   /* the same, sorted */
	const char **server_args; /* what is not understood here, NULL-terminated: the server's */
	const char **argv;        /* the whole line but for -t, NULL-terminated; [0] is argv[0] */
	int argc;
};

/*
 * Reads ARGC words at ARGV, which must outlive LINE; argv[0] is passed over. -r and -w stand for
 * the options ro and rw, "--" ends the options.
 * *WRONGP: the word that is wrong, where there is one.
 * Returns 0; -EINVAL for an option without its value, a type given twice, or a third word beside
 * source and mountpoint; -ENOMEM. In any case mount_args_free() releases LINE.
 */
int mount_args_parse(int argc, const char *const *argv, struct mount_args *args,
		     const char **wrongp);

void mount_args_free(struct mount_args *args);

/*
 * The subtype that names the service of TYPE: what follows "fuse." or "fuseblk.", or all of it.
 * NULL where it names none: empty, ".", "..", with a slash, or too long for a file's name. It
 * points into TYPE.
 */
const char *mount_args_subtype(const char *type);

#define _cleanup_mount_args_ __attribute__((cleanup(mount_args_free)))
