/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system calls of an unmodified server that broker.h answers: a seccomp filter with user
 * notification (seccomp_unotify(2), Linux 5.9 for descriptors). What is not in its table goes to
 * the kernel at once.
 */
#pragma once

/*
 * Puts the filter on this process, which must have no_new_privs, and on what it becomes and starts.
 * USER: who it is to believe to be, so that it shows files as that person's; setting ids succeeds
 * then, without effect. -1: it sees its own ids.
 * Returns the descriptor for the notifications, which the caller owns and which whoever answers
 * them needs: until then this process must do none of the calls. Or a negative errno: -ENOSYS
 * where the kernel cannot do it.
 */
int broker_filter_install(long user);
