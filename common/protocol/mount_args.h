/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of a mount: SOURCE MOUNTPOINT [-t TYPE] [-o OPTIONS] [server's arguments]. The
 * helper parses the caller's command line. fsvc-open parses the same arguments, which the helper
 * sends, and must come to the same result.
 */
#pragma once

#include "base/options.h"

#include <stdbool.h>

struct mount_args {
	const char *source, *mountpoint; /* as on the command line; NULL if missing */
	const char *type;                /* as on the command line, or NULL */
	const char *subtype;             /* the type without "fuse." or "fuseblk.", or NULL */
	bool fuseblk;                    /* set by the type or the option blkdev */
	bool no_utab;                    /* -n: do not write an entry to utab */
	char *option_list;               /* the options of all -o as one list, or NULL */
	struct options options;          /* the same, parsed */
	const char **server_args;        /* arguments for the server, NULL-terminated */
	const char **argv; /* all arguments except -t, NULL-terminated; argv[0] first */
	int argc;
};

/*
 * Parse the ARGC arguments in ARGV, which must outlive ARGS. Ignore argv[0]. -r and -w are equal to
 * the options ro and rw; "--" ends the options.
 * Return 0; -EINVAL for an option without its value; -EEXIST for a second type; -E2BIG for an
 * operand after source and mountpoint; or -ENOMEM. On failure store the invalid argument, or NULL,
 * in *INVALIDP. In all cases the caller releases ARGS with mount_args_free().
 */
int mount_args_parse(int argc, const char *const *argv, struct mount_args *args,
		     const char **invalidp);

void mount_args_free(struct mount_args *args);

/*
 * Return the subtype, which is the name of the service: the part of TYPE after "fuse." or
 * "fuseblk.", or all of it. Return NULL if that is not a file name: empty, ".", "..", with a slash,
 * or too long. The result points into TYPE.
 */
const char *mount_args_subtype(const char *type);

#define _cleanup_mount_args_ __attribute__((cleanup(mount_args_free)))
