// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory that is writable and executable, which an attacker needs to run code. */
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

static int mmap_error(void *address)
{
	return address == MAP_FAILED ? -errno : 0;
}

static int map_rwx(const long *args)
{
	return mmap_error(mmap(NULL, SIZE, RWX, (int)args[0] | MAP_ANONYMOUS, -1, 0));
}

static int write_then_protect(const long *args)
{
	void *page = mmap(NULL, SIZE, RW, (int)args[0] | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? -errno
				  : syscall_error(mprotect(page, SIZE, PROT_READ | PROT_EXEC));
}

static int write_then_pkey_protect(const long *args)
{
	void *page = mmap(NULL, SIZE, RW, (int)args[0] | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? -errno
				  : syscall_error(syscall(SYS_pkey_mprotect, page, SIZE,
							  PROT_READ | PROT_EXEC, -1));
}

/* Make the code of the program writable. */
static int unlock_code(const long *args)
{
	void *page = (void *)((uintptr_t)unlock_code & ~(uintptr_t)(SIZE - 1));

	(void)args;
	return syscall_error(mprotect(page, SIZE, RWX));
}

static int attach_system_v(const long *args)
{
	int id = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0700);
	void *page;
	int result;

	(void)args;
	if (id < 0)
		return -errno;
	page = shmat(id, NULL, SHM_EXEC);
	result = page == (void *)-1 ? -errno : 0;
	shmctl(id, IPC_RMID, NULL);
	return result;
}

/* Map a file twice, writable and executable: no single mapping is both. */
static int map_twice(int fd)
{
	if (fd < 0)
		return -errno;
	if (mmap(NULL, SIZE, RW, MAP_SHARED, fd, 0) == MAP_FAILED)
		return -errno;
	return mmap_error(mmap(NULL, SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0));
}

static int map_memfd(const long *args)
{
	int fd = memfd_create((const char *)args[0], 0);

	return fd < 0 || ftruncate(fd, SIZE) < 0 ? -errno : map_twice(fd);
}

static int map_unnamed_file(const long *args)
{
	int fd = open((const char *)args[0], O_TMPFILE | O_RDWR, 0700);

	return fd < 0 || ftruncate(fd, SIZE) < 0 ? -errno : map_twice(fd);
}

/* The attacker chose the content of the source. */
static int run_mapped_source(const long *args)
{
	(void)args;
	return mmap_error(
		mmap(NULL, SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE, target.source_fd, 0));
}

static int run_source(const long *args)
{
	static char name[] = "source";
	char *const argv[] = { name, NULL };
	int error = 0, pipe_fds[2], status;
	pid_t pid;

	(void)args;
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		syscall(SYS_execveat, target.source_fd, "", argv, NULL, AT_EMPTY_PATH);
		error = errno;
		_exit(write(pipe_fds[1], &error, sizeof(error)) != sizeof(error));
	}
	close(pipe_fds[1]);
	if (pid < 0 || read(pipe_fds[0], &error, sizeof(error)) < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return -error;
}

/* The dynamic loader runs programs that have no execute permission. */
static int run_source_by_loader(const long *args)
{
	char path[32];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", dup(target.source_fd));
	pid = fork();
	if (pid == 0) {
		execl((const char *)args[0], "loader", path, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EACCES;
}

/* /proc/PID/mem ignores the protection of the pages, which debuggers need. */
static int write_code_by_proc(const long *args)
{
	char byte;
	int fd = open("/proc/self/mem", O_RDWR);
	off_t address = (off_t)(uintptr_t)unlock_code;

	(void)args;
	if (fd < 0 || pread(fd, &byte, 1, address) < 0)
		return -errno;
	return syscall_error(pwrite(fd, &byte, 1, address));
}

const struct attempt memory_attempts[] = {
	{ "map memory to write and run", map_rwx, { MAP_PRIVATE } },
	{ "map shared memory to write and run", map_rwx, { MAP_SHARED } },
	{ "write memory, then run it", write_then_protect, { MAP_PRIVATE } },
	{ "write shared memory, then run it", write_then_protect, { MAP_SHARED } },
	{ "write memory, then run it by pkey_mprotect", write_then_pkey_protect, { MAP_PRIVATE } },
	{ "unlock its own code", unlock_code, { 0 } },
	{ "run System V memory", attach_system_v, { 0 } },
	{ "run a memfd", map_memfd, { P("hostile") } },
	{ "create secret memory", call_syscall, { SYS_memfd_secret, 0 } },
	{ "run a file of /tmp", map_unnamed_file, { P("/tmp") } },
	{ "run a file of /dev/shm", map_unnamed_file, { P("/dev/shm") } },
	{ "map the source to run it", run_mapped_source, { 0 } },
	{ "run the source as a program", run_source, { 0 } },
	{ "run the source by the loader",
	  run_source_by_loader,
	  { P("/lib64/ld-linux-x86-64.so.2") } },
	{ "write its own code by /proc/self/mem", write_code_by_proc, { 0 } },
	{ 0 },
};
