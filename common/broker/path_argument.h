/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The path argument of a server's system call, in a normalized form that can be compared.
 */
#pragma once

#include "broker/notification.h"

#include <limits.h>

/*
 * Read the path in argument PATH_ARG of the call. It is relative to the file descriptor in argument
 * DIRECTORY_ARG, or to the working directory if DIRECTORY_ARG is negative.
 *
 * "//", "." and ".." are resolved as text. The path of a file descriptor (/proc/self/fd/3,
 * /dev/fd/3) is replaced by the path of its file. Other symlinks are not followed. Return 0; or a
 * negative errno if the path cannot be read: the kernel then fails the call, too.
 */
int path_argument_read(const struct notification *notification, int directory_arg, int path_arg,
		       char path[PATH_MAX]);

/* Normalize PATH in place if it is absolute. */
void path_argument_normalize(char *path);
