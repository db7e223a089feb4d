/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Policy checks for the mountpoint. The rules for users are those of fusermount3.
 *
 * On failure the functions return a negative errno and store the reason, for a message, in *REASON.
 */
#pragma once

#include "helper/authority.h"

/*
 * Check that the caller may mount on FD, an O_PATH file descriptor: a directory or a regular file.
 * If the caller is not root, it must be writable for the caller, not have the sticky bit set if it
 * belongs to another user, and be on a filesystem that stores files, unlike /proc; and the limit of
 * FUSE mounts (fuse_conf.h) must not have been reached.
 */
int mountpoint_policy_check(const struct authority *authority, int fd, const char **reason);

/*
 * Check only the limit of mounts. This involves no filesystem, so it cannot block.
 */
int mountpoint_policy_check_limit(const struct authority *authority, const char **reason);
