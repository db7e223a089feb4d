/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mount options: their meaning and the program that each one is for. The helper, the library and
 * fsvc-open use the same table.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum option_class {
	OPTION_SERVER,  /* for the server or libfuse: all options that the table does not list */
	OPTION_FLAG,    /* a flag MS_*, see mount(2) */
	OPTION_KERNEL,  /* for the kernel's FUSE driver, see mount.fuse3(8) */
	OPTION_LABEL,   /* a security label: only the caller may set it */
	OPTION_PRIVATE, /* set by the helper itself: fd=, user_id=, ... */
	OPTION_FSNAME,  /* fsname=: the source shown in the mount table */
	OPTION_SUBTYPE, /* subtype= */
	OPTION_BLKDEV,  /* blkdev: mount as fuseblk */
	OPTION_TABLE,   /* only for the mount table of user space (utab) */
	OPTION_HELPER,  /* fsvc.*: only for the helper */
	OPTION_LIBFUSE, /* for libfuse, with a value that is not a file name */
};

/* A file that the service may open in addition to the source. Can be given more than once. */
#define OPTION_FILE "fsvc.file="

/* The time limit for the whole mount, in seconds. */
#define OPTION_TIMEOUT "fsvc.timeout="

struct option_rule {
	const char *name; /* '=' at the end: the option has a value; '*': any text follows */
	enum option_class class;
	unsigned long flag; /* OPTION_FLAG: the bit MS_* */
	bool clears;        /* OPTION_FLAG: the option clears the bit */
};

/* Return the rule for OPTION, such as "max_read=4096". Never return NULL. */
const struct option_rule *option_find_rule(const char *option);

/* Return the value after the first '=' of OPTION, or NULL. */
const char *option_value(const char *option);

/*
 * Get the next option of the comma-separated list at *CURSOR and advance *CURSOR. A backslash
 * escapes the next character, or begins three octal digits, as in libfuse and fstab(5). Skip empty
 * options. Return 1 and store the option in *OPTIONP, which the caller frees; 0 at the end of the
 * list; or -ENOMEM.
 */
int options_next(const char **cursor, char **optionp);

/*
 * Get the next option whose name is NAME, which includes the '=', in the same way. Store its value
 * in *VALUEP.
 */
int options_next_value(const char **cursor, const char *name, char **valuep);

/* Return true if LIST, which may be NULL, contains an option that equals WANTED. */
bool options_contain(const char *list, const char *wanted);

/*
 * Append OPTION to the comma-separated list *LISTP; NULL is an empty list. Escape commas and
 * backslashes of OPTION with a backslash. The caller frees the list. Return 0 or -ENOMEM.
 */
int options_add(char **listp, const char *option);

/* Append OPTION without escapes, for the kernel, which does not support them. */
int options_add_unescaped(char **listp, const char *option);

/* Options grouped by the program that they are for. */
struct options {
	unsigned long flags;     /* MS_*; if options contradict each other, the last one is used */
	unsigned long flag_mask; /* the bits that an option set or cleared */
	char *kernel, *table, *helper,
		*server;        /* lists, or NULL; server includes libfuse's options */
	char *fsname, *subtype; /* the last value, or NULL */
	bool blkdev;
};

/*
 * Parse LIST, which may be NULL, and add its options to OPTIONS. Discard OPTION_PRIVATE options.
 * Return 0 or -ENOMEM. In both cases the caller releases OPTIONS with options_free().
 */
int options_parse(const char *list, struct options *options);

void options_free(struct options *options);

#define _cleanup_options_ __attribute__((cleanup(options_free)))
