/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mount/mount_namespace.h"

#include "base/cleanup.h"
#include "base/diag.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>

int mount_namespace_enter(const char *name)
{
	_cleanup_free_ char *directory = getcwd(NULL, 0);
	_cleanup_close_ int fd = -1;
	char path[64];

	if (name[strspn(name, "0123456789")] == '\0') {
		snprintf(path, sizeof(path), "/proc/%.20s/ns/mnt", name);
		name = path;
	}
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || setns(fd, CLONE_NEWNS) < 0) {
		int error = -errno;

		diag_error("%s: cannot enter mount namespace: %s", name, strerror(-error));
		return error;
	}
	/* setns(2) changes to the root directory. Restore the directory, for relative paths. */
	if (!directory || chdir(directory) < 0) {
		diag_error(
			"%s: working directory does not exist in this mount namespace; use absolute paths",
			name);
		return -ENOENT;
	}
	return 0;
}
