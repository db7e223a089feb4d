/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/sandbox_check.h"

#include "base/cleanup.h"

#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>

static bool has_no_filter(void)
{
	return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != SECCOMP_MODE_FILTER;
}

static bool has_writable_root(void)
{
	struct statvfs root;

	return statvfs("/", &root) < 0 || !(root.f_flag & ST_RDONLY);
}

static bool can_create_socket(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd >= 0;
}

/* Return true if the network namespace has a device other than loopback, or if this is unknown. */
static bool has_network_device(void)
{
	_cleanup_file_ FILE *file = fopen("/proc/self/net/dev", "re");
	char line[256], name[32];
	bool found = !file;

	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, " %31[^:|]:", name) == 1 && strchr(line, ':') &&
			strcmp(name, "lo") != 0;
	return found;
}

bool sandbox_check_is_incomplete(bool allow_network, const char **foundp)
{
	*foundp = "no system call filter (SystemCallFilter=)";
	if (has_no_filter())
		return true;
	*foundp = "a writable root directory (RootDirectory=, ProtectSystem=)";
	if (has_writable_root())
		return true;
	*foundp = "a network (PrivateNetwork=, RestrictAddressFamilies=)";
	return !allow_network && can_create_socket() && has_network_device();
}
