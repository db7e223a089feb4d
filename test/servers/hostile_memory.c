// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory that is written and run: what an attacker's code needs to become a program. */
#include "hostile.h"
#include "newcalls.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 4096
#define RW   (PROT_READ | PROT_WRITE)
#define RWX  (RW | PROT_EXEC)

static int map(void *address)
{
	return address == MAP_FAILED ? -errno : 0;
}

static int map_at_once(const long *words)
{
	return map(mmap(NULL, SIZE, RWX, (int)words[0] | MAP_ANONYMOUS, -1, 0));
}

static int write_then_run(const long *words)
{
	void *page = mmap(NULL, SIZE, RW, (int)words[0] | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? -errno : outcome(mprotect(page, SIZE, PROT_READ | PROT_EXEC));
}

static int write_then_run_by_key(const long *words)
{
	void *page = mmap(NULL, SIZE, RW, (int)words[0] | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED
		       ? -errno
		       : outcome(syscall(SYS_pkey_mprotect, page, SIZE, PROT_READ | PROT_EXEC, -1));
}

/* A program's own code, unlocked. */
static int unlock_code(const long *words)
{
	void *page = (void *)((uintptr_t)unlock_code & ~(uintptr_t)(SIZE - 1));

	(void)words;
	return outcome(mprotect(page, SIZE, RWX));
}

static int by_system_v(const long *words)
{
	int id = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0700);
	void *page;
	int result;

	(void)words;
	if (id < 0)
		return -errno;
	page = shmat(id, NULL, SHM_EXEC);
	result = page == (void *)-1 ? -errno : 0;
	shmctl(id, IPC_RMID, NULL);
	return result;
}

/* A file that is mapped twice, to write it and to run it, breaks no rule about single mappings. */
static int map_twice(int fd)
{
	if (fd < 0)
		return -errno;
	if (mmap(NULL, SIZE, RW, MAP_SHARED, fd, 0) == MAP_FAILED)
		return -errno;
	return map(mmap(NULL, SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0));
}

static int by_file_in_memory(const long *words)
{
	int fd = memfd_create((const char *)words[0], 0);

	return fd < 0 || ftruncate(fd, SIZE) < 0 ? -errno : map_twice(fd);
}

static int by_file(const long *words)
{
	int fd = open((const char *)words[0], O_TMPFILE | O_RDWR, 0700);

	return fd < 0 || ftruncate(fd, SIZE) < 0 ? -errno : map_twice(fd);
}

/* The source is a file that the attacker wrote before anybody mounted it. */
static int run_mapped_source(const long *words)
{
	(void)words;
	return map(mmap(NULL, SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE, target.source_fd, 0));
}

static int run_source(const long *words)
{
	static char name[] = "source";
	char *const argv[] = { name, NULL };
	int error = 0, ends[2], status;
	pid_t pid;

	(void)words;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		syscall(SYS_execveat, target.source_fd, "", argv, NULL, AT_EMPTY_PATH);
		error = errno;
		_exit(write(ends[1], &error, sizeof(error)) != sizeof(error));
	}
	close(ends[1]);
	if (pid < 0 || read(ends[0], &error, sizeof(error)) < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return -error;
}

/* A program is run by its loader even where it may not be run itself. */
static int run_source_by_loader(const long *words)
{
	char path[32];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", dup(target.source_fd));
	pid = fork();
	if (pid == 0) {
		execl((const char *)words[0], "loader", path, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EACCES;
}

/* The kernel writes there whatever the pages' protection is: debuggers need that. */
static int write_code_by_proc(const long *words)
{
	char byte;
	int fd = open("/proc/self/mem", O_RDWR);
	off_t at = (off_t)(uintptr_t)unlock_code;

	(void)words;
	if (fd < 0 || pread(fd, &byte, 1, at) < 0)
		return -errno;
	return outcome(pwrite(fd, &byte, 1, at));
}

const struct attempt on_memory[] = {
	{ "map memory to write and run", map_at_once, { MAP_PRIVATE } },
	{ "map shared memory to write and run", map_at_once, { MAP_SHARED } },
	{ "write memory, then run it", write_then_run, { MAP_PRIVATE } },
	{ "write shared memory, then run it", write_then_run, { MAP_SHARED } },
	{ "write memory, then run it by pkey_mprotect", write_then_run_by_key, { MAP_PRIVATE } },
	{ "unlock its own code", unlock_code, { 0 } },
	{ "run System V memory", by_system_v, { 0 } },
	{ "run a file in memory", by_file_in_memory, { P("hostile") } },
	{ "a secret in memory", by_call, { SYS_memfd_secret, 0 } },
	{ "run a file of /tmp", by_file, { P("/tmp") } },
	{ "run a file of /dev/shm", by_file, { P("/dev/shm") } },
	{ "map the source to run it", run_mapped_source, { 0 } },
	{ "run the source as a program", run_source, { 0 } },
	{ "run the source by the loader",
	  run_source_by_loader,
	  { P("/lib64/ld-linux-x86-64.so.2") } },
	{ "write its own code by /proc/self/mem", write_code_by_proc, { 0 } },
	{ 0 },
};
