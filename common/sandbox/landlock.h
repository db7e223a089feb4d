/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Landlock restrictions for a server (landlock(7), Linux 5.13).
 */
#pragma once

/*
 * Prevent this process and its children from opening files for writing, except below /dev, and from
 * creating or removing files; since Linux 6.12 also from sending signals to processes outside. A
 * server can then neither change its own program through /proc/self/mem nor stop the process that
 * started it. Open file descriptors, and file descriptors received later, are not affected.
 *
 * The process must have no_new_privs.
 * Return 0; -ENOSYS or -EOPNOTSUPP if the kernel has no Landlock; or another negative errno. On
 * failure nothing is restricted.
 */
int landlock_restrict(void);
