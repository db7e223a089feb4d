/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The settings of /etc/fuse.conf for ordinary users, see mount.fuse3(8). */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#define FUSE_CONF_PATH "/etc/fuse.conf"

struct fuse_conf {
	bool user_allow_other;
	long mount_max; /* limit of FUSE mounts of all users together; -1: none */
};

/*
 * Read FILE into CONF. Settings are user_allow_other and mount_max = N; '#' begins a comment. Print
 * a warning for any other line, with NAME as the name of the file; it grants nothing. If FILE
 * cannot be read to its end, CONF allows no mount.
 */
void fuse_conf_read(FILE *file, const char *name, struct fuse_conf *conf);

/*
 * Load FUSE_CONF_PATH into CONF. A missing file grants nothing; a file that cannot be read allows
 * no mount.
 */
void fuse_conf_load(struct fuse_conf *conf);
