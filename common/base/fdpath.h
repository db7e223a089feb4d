/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Paths of file descriptors, for system calls that accept only paths. Such a path refers to the
 * open file, even if the file was renamed or replaced after open(2).
 */
#pragma once

#include <limits.h>

struct fd_path {
	char text[sizeof("/proc/self/fd/") + 10];
};

/* Return the path /proc/self/fd/FD. */
struct fd_path fd_path(int fd);

/*
 * Write the current path of the file FD to PATH. Only the kernel is asked: a FUSE server mounted
 * there cannot delay the answer. Return 0 or a negative errno.
 */
int fd_current_path(int fd, char path[PATH_MAX]);
