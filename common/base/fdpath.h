/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The name of a descriptor, for system calls that take names alone. It leads to the file that was
 * opened, whatever has become of the name by which it was.
 */
#pragma once

#include <limits.h>

struct fd_path {
	char text[sizeof("/proc/self/fd/") + 10];
};

/* Whatever FD is: access(fd_path(fd).text, W_OK). */
struct fd_path fd_path(int fd);

/*
 * Where the file of FD is by now. The kernel answers: a server that mounts there is not asked.
 * Returns 0 or a negative errno.
 */
int fd_current_path(int fd, char place[PATH_MAX]);
