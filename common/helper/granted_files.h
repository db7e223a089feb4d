/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files that the administrator grants to the services of a type, in POLICY_DIR/TYPE.conf.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct granted_file {
	char *path;
	bool may_write;
};

struct granted_files {
	struct granted_file *entries;
	size_t count;
};

/*
 * Read the files that FILE grants into FILES. A line is "read PATH" or "write PATH", which includes
 * reading; PATH is absolute and spelled as the server spells it. '#' begins a comment. Print a
 * warning for any other line, with NAME as the name of the file; it grants nothing.
 * Return 0 or -ENOMEM. In both cases the caller releases FILES with granted_files_free().
 */
int granted_files_read(struct granted_files *files, FILE *file, const char *name);

/*
 * Load POLICY_DIR/SUBTYPE.conf into FILES. Ignore it, with a warning, if root does not own it or
 * other users can write to it.
 * Return 0, also if there is no such file, or -ENOMEM.
 */
int granted_files_load(struct granted_files *files, const char *subtype);

/* Return true if PATH is granted for reading or, if WRITE is true, for writing. */
bool granted_files_contain(const struct granted_files *files, const char *path, bool write);

void granted_files_free(struct granted_files *files);
