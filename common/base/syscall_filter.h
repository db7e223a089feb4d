/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A seccomp filter for system calls, compiled from a table (seccomp(2), Linux 3.17). */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The action for one system call. */
struct syscall_filter_rule {
	int number;      /* SYS_*; use #ifdef, since not every architecture has every call */
	uint32_t action; /* SECCOMP_RET_* */
	/*
	 * If MASK is not 0, the rule applies only if the bits MASK of argument number ARGUMENT,
	 * counted from 0, equal VALUE. Only the lower 32 bits of the argument are examined.
	 */
	unsigned int argument;
	uint32_t mask, value;
};

/*
 * Install the filter in this process and its future children and programs. The process must have
 * no_new_privs or CAP_SYS_ADMIN. RULES may be in any order and are sorted; among the rules of one
 * system call the first match decides. DEFAULT_ACTION is the action for all other calls. A call of
 * another architecture's ABI, including x32, kills the process. FLAGS are SECCOMP_FILTER_FLAG_*.
 * Return the result of seccomp(2), 0 or a file descriptor; or a negative errno, -ENOSYS if the
 * kernel does not support a flag.
 */
int syscall_filter_install(struct syscall_filter_rule *rules, size_t count, uint32_t default_action,
			   unsigned int flags);
