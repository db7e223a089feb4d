/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mount options: what each means and whose it is. One table serves the helper (what did the caller
 * grant, what may a service ask for), the library and fsvc-open (what goes where).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum option_class {
	OPTION_SERVER,  /* not in the table: the server's or libfuse's own */
	OPTION_FLAG,    /* an MS_* flag, see mount(2) */
	OPTION_KERNEL,  /* for the kernel's FUSE driver, see fuse(4) and mount.fuse3(8) */
	OPTION_LABEL,   /* a security label: the caller's alone */
	OPTION_PRIVATE, /* what the helper itself tells the kernel */
	OPTION_FSNAME,  /* fsname=: the source as the mount table shows it */
	OPTION_SUBTYPE, /* subtype= */
	OPTION_BLKDEV,  /* blkdev: mount as fuseblk */
	OPTION_TABLE,   /* for user space's mount table alone */
	OPTION_HELPER,  /* for the helper alone: not the kernel's, the server's or the table's */
	OPTION_LIBFUSE, /* libfuse's own, with a meaning that is no file's name */
};

/* Names a file that the service may open, beside the source: fsvc.file=PATH, any number of them.
 */
#define OPTION_FILE "fsvc.file="

/* Seconds for the whole mount. */
#define OPTION_TIMEOUT "fsvc.timeout="

struct option_rule {
	const char *name; /* ends in '=' where a value follows, in '*' where anything may */
	enum option_class class;
	unsigned long flag; /* OPTION_FLAG: the MS_* bit */
	bool clears;        /* OPTION_FLAG: the option takes the bit away */
};

/* The rule for one option, such as "max_read=4096"; never NULL. */
const struct option_rule *option_find_rule(const char *option);

/* The value behind the first '=' of OPTION, or NULL. */
const char *option_value(const char *option);

/*
 * Takes the next option from the comma-separated list at *CURSOR, which moves on. A backslash makes
 * the next character, or three octal digits, part of the option, as in libfuse and in fstab(5).
 * *OPTIONP: the option in memory that the caller frees with free(3).
 * Returns 1, 0 at the end of the list, or -ENOMEM. Empty options are passed over.
 */
int options_next(const char **cursor, char **optionp);

/*
 * The same for those options alone whose NAME, which ends in '=', it is: *VALUEP is what follows.
 */
int options_next_value(const char **cursor, const char *name, char **valuep);

/* Whether LIST, which may be NULL, has the option WANTED, to the letter. */
bool options_contain(const char *list, const char *wanted);

/*
 * Adds OPTION to the comma-separated list *LISTP, NULL being the empty one, with a backslash before
 * each comma and backslash of it. The caller frees the list with free(3). Returns 0 or -ENOMEM.
 */
int options_add(char **listp, const char *option);

/* The same, without backslashes, for the kernel, which knows none. */
int options_add_unescaped(char **listp, const char *option);

/* A list, sorted by who each option is for. */
struct options {
	unsigned long flags;     /* MS_*: the last word on each counts */
	unsigned long flag_mask; /* the bits of it that an option named, set or cleared */
	char *kernel, *table, *helper,
		*server; /* lists; NULL where empty. The rest is the server's and libfuse's */
	char *fsname, *subtype; /* the last value, or NULL */
	bool blkdev;
};

/*
 * Sorts LIST, which may be NULL, into OPTIONS, adding to what is there. OPTION_PRIVATE ones are
 * dropped. Returns 0 or -ENOMEM; either way options_free() releases it.
 */
int options_parse(const char *list, struct options *options);

void options_free(struct options *options);

#define _cleanup_options_ __attribute__((cleanup(options_free)))
