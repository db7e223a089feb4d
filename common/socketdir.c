/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "socketdir.h"

#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

static int check_directory(const char **why)
{
	struct stat status;

	if (lstat(SERVICE_SOCKET_DIR, &status) < 0)
		return -errno;
	if (S_ISDIR(status.st_mode) && status.st_uid == 0 &&
	    (status.st_mode & (S_IWGRP | S_IWOTH)) == 0)
		return 0;
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
