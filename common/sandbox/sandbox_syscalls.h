/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system calls that a sandboxed service may make: those that units/10-sandbox.conf allows,
 * minus those that no filesystem server needs.
 */
#pragma once

/*
 * Install the filter on this process and its children. All other system calls fail with EPERM; a
 * call with the numbers of another architecture kills the process. Memory cannot be writable and
 * executable; namespaces, and sockets other than a socketpair(2), cannot be created.
 *
 * The process must have no_new_privs (seccomp(2), Linux 3.17).
 * Return 0 or a negative errno.
 */
int sandbox_syscalls_filter(void);
