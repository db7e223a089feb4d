/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The authority of a mount: the caller's command line and the configuration of the administrator,
 * which decide the files that a service may open and the mountpoints that the caller may use. It is
 * loaded once, before the service is contacted, and the service cannot change it.
 */
#pragma once

#include "helper/fuse_conf.h"
#include "helper/granted_files.h"
#include "protocol/mount_args.h"

#include <stdbool.h>

struct authority {
	const struct mount_args *args; /* the caller's command line */
	bool is_root;                  /* the caller is root */
	struct fuse_conf conf;         /* only used if the caller is not root */
	struct granted_files granted;
};

/*
 * Load the authority for the mount ARGS, which must outlive it: /etc/fuse.conf if the caller is not
 * root, and the files that the administrator grants to the type.
 * Return 0 or -ENOMEM. In both cases the caller releases AUTHORITY with authority_free().
 */
int authority_load(struct authority *authority, const struct mount_args *args);

void authority_free(struct authority *authority);

#define _cleanup_authority_ __attribute__((cleanup(authority_free)))
