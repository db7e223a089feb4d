/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/fdpath.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

struct fd_path fd_path(int fd)
{
	struct fd_path path;

	snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
	return path;
}

int fd_current_path(int fd, char path[PATH_MAX])
{
	ssize_t length = readlink(fd_path(fd).text, path, PATH_MAX - 1);

	if (length < 0)
		return -errno;
	path[length] = '\0';
	return 0;
}
