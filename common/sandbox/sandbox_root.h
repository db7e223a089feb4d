/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The root directory of a sandboxed service: programs and libraries, and no other files of the
 * system.
 */
#pragma once

#include <sys/types.h>

/*
 * Create a read-only root directory and move this process into it. It contains a user database with
 * UID, and /proc as an empty directory. EXTRA_PATHS: more paths to show, NULL-terminated; or NULL.
 *
 * The process must be the only one in its mount namespace, because all other mounts are removed
 * from it. Also works if "/" is the initramfs, where pivot_root(2) fails.
 * Return 0 or a negative errno.
 */
int sandbox_root_enter(uid_t uid, char *const *extra_paths);

/*
 * Mount /proc, read-only, with only the processes of this process namespace (subset=pid,
 * Linux 5.8). Return 0 or a negative errno.
 */
int sandbox_root_mount_proc(void);
