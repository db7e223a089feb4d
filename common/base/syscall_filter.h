/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A filter of system calls, made from a table (seccomp(2), Linux 3.17).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* What becomes of one system call. */
struct syscall_filter_rule {
	int number;      /* SYS_*; not every architecture has each: #ifdef */
	uint32_t action; /* SECCOMP_RET_* */
	/* Only where the bits of MASK in that argument, counted from 0, are VALUE; a mask of 0:
	 * always. Of an argument the lower 32 bits are looked at: where flags are. */
	unsigned int argument;
	uint32_t mask, value;
};

/*
 * Puts the filter on this process, which must have no_new_privs or CAP_SYS_ADMIN, and on what it
 * becomes and starts. RULES may be in any order, which is changed; among those of one system call
 * the first that fits decides. OTHERWISE: what becomes of all other calls. A call by the numbers of
 * another architecture, x32 among them, ends the process.
 * FLAGS: SECCOMP_FILTER_FLAG_*.
 * Returns what seccomp(2) does: 0 or a descriptor; or a negative errno, -ENOSYS where the kernel
 * does not know how.
 */
int syscall_filter_install(struct syscall_filter_rule *rules, size_t count, uint32_t otherwise,
			   unsigned int flags);
