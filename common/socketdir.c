/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "socketdir.h"

#include "cleanup.h"
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

/* The first COUNT numbers of a file, or -1 for each that is not there. */
static void read_numbers(const char *path, long long *numbers, size_t count)
{
	_cleanup_file_ FILE *file = fopen(path, "re");

	for (size_t i = 0; i < count; i++)
		if (!file || fscanf(file, "%lld", &numbers[i]) != 1)
			numbers[i] = -1;
}

/*
 * Whether OWNER is what a user namespace calls all users who are outside of it. Inside the system's
 * root is one of them.
 */
static bool is_outside(uid_t owner)
{
	long long overflow, map[3]; /* see user_namespaces(7): inside, outside, how many */

	read_numbers("/proc/sys/kernel/overflowuid", &overflow, 1);
	read_numbers("/proc/self/uid_map", map, 3);
	return owner == overflow && map[2] > 0 && map[2] < UINT32_MAX;
}

static int check_directory(const char **why)
{
	struct stat status;

	if (lstat(SERVICE_SOCKET_DIR, &status) < 0)
		return -errno;
	if (S_ISDIR(status.st_mode) && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0) {
		if (status.st_uid == 0)
			return 0;
		/* Nobody has hidden a service here: there can be none. */
		if (is_outside(status.st_uid))
			return -ENOENT;
	}
	*why = SERVICE_SOCKET_DIR " is not trusted: others than root may write there";
	return -EPERM;
}

int socketdir_find(const char *subtype, char **pathp, const char **why)
{
	struct stat status;
	int error;

	*why = NULL;
	*pathp = NULL;
	if (asprintf(pathp, "%s/%s", SERVICE_SOCKET_DIR, subtype) < 0) {
		*pathp = NULL;
		return -ENOMEM;
	}
	if (strlen(*pathp) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return -ENAMETOOLONG;
	error = check_directory(why);
	if (error < 0)
		return error;
	/* Nobody but root can change it between this look and the connection. */
	if (lstat(*pathp, &status) < 0)
		return -errno;
	if (S_ISSOCK(status.st_mode) && status.st_uid == 0)
		return 0;
	*why = "what is in the place of its socket is none, or not root's";
	return -EPERM;
}
