/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The root directory of a contained service: programs and libraries, and nothing else of the disk.
 */
#pragma once

#include <sys/types.h>

/*
 * Makes that directory, read-only, with /proc as the directory PROC's own and a user database that
 * knows UID, and moves this process there, which must be alone in its mount namespace: no other
 * mount stays in it. MORE: paths to show beside the usual ones, NULL-terminated, or NULL.
 * Works where / is the first filesystem of a booting machine, too, which pivot_root(2) does not.
 * Returns 0 or a negative errno.
 */
int sandbox_root_enter(uid_t uid, char *const *more);

/* Puts this process's own /proc there, without what is not about its own processes. The same. */
int sandbox_root_mount_proc(void);
