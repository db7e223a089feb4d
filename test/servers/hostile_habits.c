// SPDX-License-Identifier: LGPL-2.1-or-later
#include "hostile_habits.h"

#include "hostile.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

/* Where nothing else stops them, these do: the machine is not only the test's. */
#define CHUNK          (16UL << 20)
#define MOST_CHUNKS    128
#define MOST_PROCESSES 1000

#define QUESTIONS  10000
#define COMET_LIFE 60 /* seconds; should a test fail, they end */

/* Longer than anybody is patient, and an end nevertheless. */
#define LONG 1200

static int wait_long(void)
{
	for (time_t end = time(NULL) + LONG; time(NULL) < end;)
		sleep(1);
	return 1;
}

static int say(const char *what, int number)
{
	printf("%s %d\n", what, number);
	fflush(stdout);
	return wait_long();
}

static int eat_memory(void)
{
	int count = 0;

	for (; count < MOST_CHUNKS; count++) {
		void *chunk = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				   -1, 0);

		if (chunk == MAP_FAILED)
			break;
		memset(chunk, 1, CHUNK);
	}
	return say("chunks", count);
}

static int fork_many(void)
{
	int count = 0;

	for (; count < MOST_PROCESSES; count++) {
		pid_t pid = fork();

		if (pid == 0)
			return wait_long();
		if (pid < 0)
			break;
	}
	return say("processes", count);
}

/* Never the same process for long: who looks for it and signals it comes too late. */
static int run_from_signals(void)
{
	time_t end = time(NULL) + COMET_LIFE;

	signal(SIGTERM, SIG_IGN);
	while (time(NULL) < end)
		if (fork() > 0)
			_exit(0);
	return 1;
}

/* Asks for files that nobody has named. */
static int ask_much(void)
{
	char path[64];
	int found = 0;

	for (int i = 0; i < QUESTIONS; i++) {
		snprintf(path, sizeof(path), "/nowhere/%d", i);
		found += open(path, O_RDONLY) >= 0;
	}
	printf("found %d\n", found);
	return 1;
}

static int write_much(void)
{
	for (int i = 0; i < 20000; i++)
		printf("line %d\n", i);
	return 1;
}

static int stop_starter(void)
{
	return say("stopping", kill(target.starter, SIGSTOP) < 0 ? errno : 0);
}

static int kill_starter(void)
{
	return say("killing", kill(target.starter, SIGKILL) < 0 ? errno : 0);
}

/* Mounts, takes the first request, and does nothing ever after, whatever it is told. */
static int outlive_mount(void)
{
	char data[128], request[1 << 17];
	int fd = open("/dev/fuse", O_RDWR);

	signal(SIGTERM, SIG_IGN);
	snprintf(data, sizeof(data), "fd=%d,rootmode=40000,user_id=%d,group_id=%d", fd,
		 (int)getuid(), (int)getgid());
	if (fd < 0 || mount("hostile", target.mountpoint, "fuse", 0, data) < 0 ||
	    read(fd, request, sizeof(request)) < 0)
		return 1;
	return wait_long();
}

int have_habit(const char *name)
{
	static const struct {
		const char *name;
		int (*habit)(void);
	} habits[] = {
		{ "memory", eat_memory },       { "forks", fork_many },
		{ "comets", run_from_signals }, { "questions", ask_much },
		{ "lines", write_much },        { "stop", stop_starter },
		{ "kill", kill_starter },       { "outlive", outlive_mount },
	};

	for (size_t i = 0; i < sizeof(habits) / sizeof(habits[0]); i++)
		if (strncmp(name, habits[i].name, strlen(habits[i].name)) == 0)
			return habits[i].habit();
	return 2;
}
