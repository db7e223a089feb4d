// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hostile SOURCE MOUNTPOINT [-o victim=PID,neighbour=PID]   tries all, prints names and outcomes
 * hostile SOURCE MOUNTPOINT -o habit=NAME[,delay]           what is not refused, but has limits
 * hostile --list                                            prints the names
 * hostile --who-am-i                                        exit 0 for root: a set-user-ID file
 *
 * As root and outside of a sandbox the attempts succeed, and what they change is changed back or
 * belongs to a namespace that the caller made for them: see kit/escape.py.
 */
#include "hostile.h"
#include "hostile_habits.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* In which a test can put it somewhere, in seconds. */
#define DELAY 2

/* Longer than any attempt takes that is not stuck, in seconds. */
#define PATIENCE 5

struct target target = { .source_fd = -1 };

int by_call(const long *words)
{
	return outcome(
		syscall(words[0], words[1], words[2], words[3], words[4], words[5], words[6]));
}

/* Runs one attempt where it can break nothing of this process. Returns what there is to say. */
static const char *run(const struct attempt *attempt, char *room, size_t size)
{
	int result = -ENODATA, ends[2], status;
	pid_t pid;

	if (pipe(ends) < 0)
		return "no pipe";
	pid = fork();
	if (pid == 0) {
		alarm(PATIENCE);
		result = attempt->attack(attempt->words);
		_exit(write(ends[1], &result, sizeof(result)) != sizeof(result));
	}
	close(ends[1]);
	if (read(ends[0], &result, sizeof(result)) < 0)
		result = -errno;
	close(ends[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return "no process";
	if (WIFSIGNALED(status))
		snprintf(room, size, "signal %d", WTERMSIG(status));
	else if (result < 0)
		snprintf(room, size, "error %d", -result);
	else
		return "done";
	return room;
}

static const struct attempt *const tables[] = { on_files, on_processes, on_kernel, on_memory,
						on_fuse };

static void for_each(void (*tell)(const struct attempt *attempt))
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct attempt *attempt = tables[i]; attempt->name; attempt++)
			tell(attempt);
}

static void name_it(const struct attempt *attempt)
{
	printf("%s\n", attempt->name);
}

static void try_it(const struct attempt *attempt)
{
	char room[32];

	printf("%s\t%s\n", attempt->name, run(attempt, room, sizeof(room)));
	fflush(stdout);
}

/* The value of an option, as the start of what follows it. */
static const char *option(const char *options, const char *name)
{
	const char *found = strstr(options, name);

	return found ? found + strlen(name) : NULL;
}

static pid_t option_pid(const char *options, const char *name)
{
	const char *value = option(options, name);

	return value ? atoi(value) : 1;
}

int main(int argc, char **argv)
{
	const char *options = argc > 4 ? argv[4] : "";

	if (argc > 1 && strcmp(argv[1], "--who-am-i") == 0)
		return geteuid() == 0 ? 0 : 1;
	if (argc > 1 && strcmp(argv[1], "--list") == 0)
		for_each(name_it);
	if (argc < 3)
		return 0;
	target.source = argv[1];
	target.mountpoint = argv[2];
	target.starter = getppid();
	target.source_fd = open(target.source, O_RDONLY);
	target.victim = option_pid(options, "victim=");
	target.neighbour = option_pid(options, "neighbour=");
	if (option(options, "delay"))
		sleep(DELAY);
	if (option(options, "habit="))
		return have_habit(option(options, "habit="));
	for_each(try_it);
	return 1;
}
