// SPDX-License-Identifier: LGPL-2.1-or-later
#include "hostile_misuse.h"

#include "hostile.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

/* These protect the machine if the limits of the sandbox fail. */
#define CHUNK_SIZE    (16UL << 20)
#define MAX_CHUNKS    128
#define MAX_PROCESSES 1000

#define OPEN_COUNT     10000
#define LINE_COUNT     20000
#define FORK_TIMEOUT_S 60

/* Longer than all timeouts of fsvc. */
#define WAIT_TIMEOUT_S 1200

static int wait_long(void)
{
	for (time_t end = time(NULL) + WAIT_TIMEOUT_S; time(NULL) < end;)
		sleep(1);
	return 1;
}

static int report(const char *name, int number)
{
	printf("%s %d\n", name, number);
	fflush(stdout);
	return wait_long();
}

static int allocate_much(void)
{
	int count = 0;

	for (; count < MAX_CHUNKS; count++) {
		void *chunk = mmap(NULL, CHUNK_SIZE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (chunk == MAP_FAILED)
			break;
		memset(chunk, 1, CHUNK_SIZE);
	}
	return report("chunks", count);
}

static int fork_many(void)
{
	int count = 0;

	for (; count < MAX_PROCESSES; count++) {
		pid_t pid = fork();

		if (pid == 0)
			return wait_long();
		if (pid < 0)
			break;
	}
	return report("processes", count);
}

/* Fork and exit all the time, so that a signal to any pid of /proc arrives too late. */
static int fork_forever(void)
{
	time_t end = time(NULL) + FORK_TIMEOUT_S;

	signal(SIGTERM, SIG_IGN);
	while (time(NULL) < end)
		if (fork() > 0)
			_exit(0);
	return 1;
}

/* Open many files that the command line does not name. */
static int open_many(void)
{
	char path[64];
	int found = 0;

	for (int i = 0; i < OPEN_COUNT; i++) {
		snprintf(path, sizeof(path), "/nowhere/%d", i);
		found += open(path, O_RDONLY) >= 0;
	}
	printf("found %d\n", found);
	return 1;
}

static int write_much(void)
{
	for (int i = 0; i < LINE_COUNT; i++)
		printf("line %d\n", i);
	return 1;
}

static int stop_parent(void)
{
	return report("stopping", kill(target.parent, SIGSTOP) < 0 ? errno : 0);
}

static int kill_parent(void)
{
	return report("killing", kill(target.parent, SIGKILL) < 0 ? errno : 0);
}

/* Mount, read the first request, and then answer nothing and ignore SIGTERM. */
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

int run_misuse(const char *name)
{
	static const struct {
		const char *name;
		int (*run)(void);
	} misuses[] = {
		{ "memory", allocate_much }, { "forks", fork_many },
		{ "comets", fork_forever },  { "questions", open_many },
		{ "lines", write_much },     { "stop", stop_parent },
		{ "kill", kill_parent },     { "outlive", outlive_mount },
	};

	for (size_t i = 0; i < sizeof(misuses) / sizeof(misuses[0]); i++)
		if (strncmp(name, misuses[i].name, strlen(misuses[i].name)) == 0)
			return misuses[i].run();
	return 2;
}
