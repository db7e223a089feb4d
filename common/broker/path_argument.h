/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The path that a system call of a server is about, in the one spelling that can be compared.
 */
#pragma once

#include "broker/notification.h"

#include <limits.h>

/*
 * Reads the path in argument PATH_AT of the call, relative to the descriptor in argument
 * DIRECTORY_AT or, where that is negative, to the working directory. "//", "." and ".." are
 * resolved as text, and a name for a descriptor (/proc/self/fd/3, /dev/fd/3) becomes the name of
 * what it is open on; other symlinks stay. Returns 0; a negative errno for what cannot be read:
 * that call is the kernel's to refuse.
 */
int path_argument_read(const struct notification *notification, int directory_at, int path_at,
		       char path[PATH_MAX]);

/* Brings PATH into that spelling, in place, if it is absolute; else leaves it as it is. */
void path_argument_normalize(char *path);
