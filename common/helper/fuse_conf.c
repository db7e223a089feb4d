/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper/fuse_conf.h"

#include "base/cleanup.h"
#include "base/diag.h"

#include <string.h>

/* The default of fusermount3. */
#define DEFAULT_MOUNT_MAX 1000

static bool parse_line(const char *line, struct fuse_conf *conf)
{
	long limit;
	int end = 0;

	if (*line == '\0')
		return true;
	if (strcmp(line, "user_allow_other") == 0) {
		conf->user_allow_other = true;
		return true;
	}
	if (sscanf(line, "mount_max = %9ld%n", &limit, &end) == 1 && line[end] == '\0' &&
	    limit >= -1) {
		conf->mount_max = limit;
		return true;
	}
	return false;
}

/*
 * Allow no mount: the part that was not read may contain a lower mount_max, and the caller may have
 * caused the error.
 */
static void forbid_mounts(struct fuse_conf *conf, const char *name, int error)
{
	*conf = (struct fuse_conf){ .mount_max = 0 };
	diag_warning("%s: %s", name, strerror(error));
}

void fuse_conf_read(FILE *file, const char *name, struct fuse_conf *conf)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	*conf = (struct fuse_conf){ .mount_max = DEFAULT_MOUNT_MAX };
	for (int number = 1; getline(&line, &size, file) >= 0; number++) {
		char *start = line + strspn(line, " \t");
		size_t length = strcspn(start, "#\n");

		while (length > 0 && strchr(" \t\r", start[length - 1]))
			length--;
		start[length] = '\0';
		if (!parse_line(start, conf))
			diag_warning("%s:%d: invalid line ignored: %s", name, number, start);
	}
	/*
	 * getline(3) also fails if the caller has set a low memory limit: do not take that for the
	 * end of the file.
	 */
	if (!feof(file))
		forbid_mounts(conf, name, errno);
}

void fuse_conf_load(struct fuse_conf *conf)
{
	_cleanup_file_ FILE *file = fopen(FUSE_CONF_PATH, "re");

	*conf = (struct fuse_conf){ .mount_max = DEFAULT_MOUNT_MAX };
	if (!file && errno != ENOENT)
		forbid_mounts(conf, FUSE_CONF_PATH, errno);
	if (file)
		fuse_conf_read(file, FUSE_CONF_PATH, conf);
}
