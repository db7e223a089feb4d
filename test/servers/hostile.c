// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hostile SOURCE MOUNTPOINT [-o victim=PID,neighbour=PID]   run all attempts, print their results
 * hostile SOURCE MOUNTPOINT -o misuse=NAME[,delay]           misuse an allowed operation
 * hostile --list                                            print the names of all attempts
 * hostile --who-am-i                                        exit with 0 if the effective user is
 * root
 *
 * The attempts succeed if root runs them outside a sandbox. They undo their changes, or make them
 * in namespaces that the test creates for them.
 */
#include "hostile.h"
#include "hostile_misuse.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The time that "delay" gives a test to move the process to a cgroup. */
#define DELAY_S 2

#define ATTEMPT_TIMEOUT_S 5

struct target target = { .source_fd = -1 };

int call_syscall(const long *args)
{
	return syscall_error(
		syscall(args[0], args[1], args[2], args[3], args[4], args[5], args[6]));
}

/* Run ATTEMPT in a child process. Return the result as text, which may be in BUFFER. */
static const char *run_attempt(const struct attempt *attempt, char *buffer, size_t size)
{
	int result = -ENODATA, pipe_fds[2], status;
	pid_t pid;

	if (pipe(pipe_fds) < 0)
		return "no pipe";
	pid = fork();
	if (pid == 0) {
		alarm(ATTEMPT_TIMEOUT_S);
		result = attempt->run(attempt->args);
		_exit(write(pipe_fds[1], &result, sizeof(result)) != sizeof(result));
	}
	close(pipe_fds[1]);
	if (read(pipe_fds[0], &result, sizeof(result)) < 0)
		result = -errno;
	close(pipe_fds[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return "no process";
	if (WIFSIGNALED(status))
		snprintf(buffer, size, "signal %d", WTERMSIG(status));
	else if (result < 0)
		snprintf(buffer, size, "error %d", -result);
	else
		return "done";
	return buffer;
}

static const struct attempt *const tables[] = { file_attempts, process_attempts, kernel_attempts,
						memory_attempts, fuse_attempts };

static void for_each_attempt(void (*function)(const struct attempt *attempt))
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct attempt *attempt = tables[i]; attempt->name; attempt++)
			function(attempt);
}

static void print_name(const struct attempt *attempt)
{
	printf("%s\n", attempt->name);
}

static void print_result(const struct attempt *attempt)
{
	char buffer[32];

	printf("%s\t%s\n", attempt->name, run_attempt(attempt, buffer, sizeof(buffer)));
	fflush(stdout);
}

/* Return the text of OPTIONS after NAME, or NULL if NAME is not in it. */
static const char *find_option(const char *options, const char *name)
{
	const char *found = strstr(options, name);

	return found ? found + strlen(name) : NULL;
}

static pid_t find_pid_option(const char *options, const char *name)
{
	const char *value = find_option(options, name);

	return value ? atoi(value) : 1;
}

int main(int argc, char **argv)
{
	const char *options = argc > 4 ? argv[4] : "";

	if (argc > 1 && strcmp(argv[1], "--who-am-i") == 0)
		return geteuid() == 0 ? 0 : 1;
	if (argc > 1 && strcmp(argv[1], "--list") == 0)
		for_each_attempt(print_name);
	if (argc < 3)
		return 0;
	target.source = argv[1];
	target.mountpoint = argv[2];
	target.parent = getppid();
	target.source_fd = open(target.source, O_RDONLY);
	target.victim = find_pid_option(options, "victim=");
	target.neighbour = find_pid_option(options, "neighbour=");
	if (find_option(options, "delay"))
		sleep(DELAY_S);
	if (find_option(options, "misuse="))
		return run_misuse(find_option(options, "misuse="));
	for_each_attempt(print_result);
	return 1;
}
