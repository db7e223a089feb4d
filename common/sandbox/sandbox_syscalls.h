/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system calls that a contained service may do: those that the sandbox of the units leaves it
 * (10-sandbox.conf), less what no filesystem server needs.
 */
#pragma once

/*
 * From here on this process, and what it becomes and starts, can do no other: they fail with
 * EPERM, and calls by the numbers of another architecture end it. It makes no memory that is
 * writable and executable, no namespace and no socket but a pair. It must have no_new_privs.
 * Returns 0 or a negative errno.
 */
int sandbox_syscalls_filter(void);
