/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper/authority.h"

#include "base/privs.h"

int authority_load(struct authority *authority, const struct mount_args *args)
{
	*authority = (struct authority){ .args = args, .is_root = privs_caller_is_root() };
	if (!authority->is_root)
		fuse_conf_load(&authority->conf);
	return granted_files_load(&authority->granted, args->subtype);
}

void authority_free(struct authority *authority)
{
	granted_files_free(&authority->granted);
}
