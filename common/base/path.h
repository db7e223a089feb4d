/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Path helpers. */
#pragma once

#include <string.h>

/* The default PATH. */
#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* This directory exists if systemd is running, see sd_booted(3). */
#define SYSTEMD_DIR "/run/systemd/system"

/* Return the part of PATH after its last slash, or PATH itself. The result points into PATH. */
static inline const char *path_basename(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}
