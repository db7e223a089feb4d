/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A check whether this machine has the 32-bit system calls of x86, for tests of filters. */
#pragma once

#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __x86_64__
/* Call getpid(2) as a 32-bit program does, with the number that it has there. */
static inline long compat_getpid(void)
{
	long result = 20;

	__asm__ volatile("int $0x80" : "+a"(result) : : "r8", "r9", "r10", "r11", "memory");
	return result;
}

/*
 * Return true if int 0x80 reaches the kernel. It does not on some hypervisors, and without
 * CONFIG_IA32_EMULATION: the process is killed by SIGSEGV.
 */
static inline bool has_compat_calls(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(compat_getpid() == getpid() ? 0 : 1);
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}
#else
static inline bool has_compat_calls(void)
{
	return false;
}
#endif
