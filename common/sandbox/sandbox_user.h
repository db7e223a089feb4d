/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nobody: a user for one mount, who is nobody else.
 */
#pragma once

#include <sys/types.h>

/*
 * Chooses a user that no process has, among those that systemd would take for the same: *UIDP.
 * As long as *LOCKP is open, here or in a child, no other call of this function, by whatever
 * process, chooses the same: the caller becomes that user before closing it.
 * PROC: a descriptor of the machine's /proc. Waits for nobody.
 * Returns 0; -EUSERS where each has a process; or a negative errno.
 */
int sandbox_user_choose(int proc, uid_t *uidp, int *lockp);

/*
 * Moves this process into a user namespace in which there is nobody but its own user and group.
 * PROC: as above. Returns 0 or a negative errno.
 */
int sandbox_user_enter_namespace(int proc);
