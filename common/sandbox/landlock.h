/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a server loses beside what its unit's sandbox takes, by Landlock (Linux 5.13).
 */
#pragma once

/*
 * From here on this process, and what it becomes and starts, opens no file for writing by a name
 * and makes none, but below /dev; with Linux 6.12 it also sends no signal to a process outside. So
 * its own program stays as it is, which it could overwrite by /proc/self/mem, and whoever started
 * it cannot be stopped. What is open already, and what comes as a descriptor, is not touched. A
 * kernel that knows nothing of it takes nothing. The process must have no_new_privs.
 * Returns 0, or a negative errno where nothing was taken: -ENOSYS or -EOPNOTSUPP for such a kernel.
 */
int landlock_restrict(void);
