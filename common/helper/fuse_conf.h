/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /etc/fuse.conf: what ordinary users may do. See fuse.conf in mount.fuse3(8).
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#define FUSE_CONF_PATH "/etc/fuse.conf"

struct fuse_conf {
	bool user_allow_other;
	long mount_max; /* how many FUSE mounts all users together may have; -1: no limit */
};

/*
 * Reads FILE, called NAME in warnings, into CONF. Lines: a comment after '#', user_allow_other,
 * mount_max = N. Anything else grants nothing and is a warning with its line. A file
 * that cannot be read to its end allows no mount at all.
 */
void fuse_conf_read(FILE *file, const char *name, struct fuse_conf *conf);

/* The same for FUSE_CONF_PATH; a file that is not there grants nothing; one that cannot be read no
 * mount at all. */
void fuse_conf_load(struct fuse_conf *conf);
