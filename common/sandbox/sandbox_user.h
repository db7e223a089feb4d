/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The user ID of a sandboxed service: one that no other process has.
 */
#pragma once

#include <sys/types.h>

/*
 * Choose a user ID that no process has, from the range that systemd uses for DynamicUser=.
 *
 * The ID is locked until *LOCKP is closed, in this process and in its children, so that no other
 * caller can choose it: switch to *UIDP before you close *LOCKP. Never waits.
 * PROC: a file descriptor of the system's /proc.
 * Return 0; -EUSERS if all IDs are in use; or another negative errno.
 */
int sandbox_user_choose(int proc, uid_t *uidp, int *lockp);

/*
 * Move this process into a user namespace that contains only its own user and group ID
 * (user_namespaces(7)). PROC: as above.
 * Return 0 or a negative errno.
 */
int sandbox_user_enter_namespace(int proc);
