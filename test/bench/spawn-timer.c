/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spawn-timer COMMAND [ARGUMENTS]: run COMMAND once, and print the nanoseconds from exec to exit
 * and its peak memory in KiB. The peak memory of a child process includes that of its parent before
 * execve(2): therefore this is a small program.
 */
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv)
{
	long long start = now();
	struct rusage used;
	int status;
	pid_t pid;

	if (argc < 2 || posix_spawn(&pid, argv[1], NULL, NULL, argv + 1, environ) != 0 ||
	    wait4(pid, &status, 0, &used) != pid)
		return 1;
	printf("%lld %ld\n", now() - start, used.ru_maxrss);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
