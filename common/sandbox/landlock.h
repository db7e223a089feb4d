/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Landlock restrictions for a server (landlock(7), Linux 5.13).
 */
#pragma once

/*
 * Deny this process and its children to open files for writing and to create or remove files,
 * except below /dev; since Linux 6.12 also to send signals to processes outside. A server can then
 * neither change its own program through /proc/self/mem nor stop the process that started it. Open
 * descriptors, and descriptors received later, are not affected.
 *
 * The process must have no_new_privs.
 * Return 0; -ENOSYS or -EOPNOTSUPP if the kernel has no Landlock; or another negative errno. On
 * failure nothing is restricted.
 */
int landlock_restrict(void);
