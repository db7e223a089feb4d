// SPDX-License-Identifier: LGPL-2.1-or-later
/* Other processes: those of other users, the server of another mount, and fsvc-open itself. */
#include "hostile.h"
#include "newcalls.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SET_USER_ID_FILE "/usr/local/lib/hostile-set-user-id"

/* Which process a row is about. */
enum whom { INIT, VICTIM, NEIGHBOUR, STARTER };

static pid_t pid_of(long whom)
{
	const pid_t pids[] = { 1, target.victim, target.neighbour, target.starter };

	return pids[whom];
}

static int see(const long *words)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid_of(words[0]));
	return outcome(access(path, F_OK));
}

/* May it be signalled? Signal 0 harms nobody. */
static int signal_it(const long *words)
{
	return outcome(kill(pid_of(words[0]), 0));
}

static int signal_by_descriptor(const long *words)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid_of(words[0]), 0);

	return pidfd < 0 ? -errno : outcome(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0));
}

/* Where the right is missing it fails with EPERM before the kernel looks at the address. */
static int move_memory(const long *words)
{
	char byte = 0;
	struct iovec here = { &byte, 1 }, there = { (void *)1, 1 };
	int result = outcome(syscall(words[1], pid_of(words[0]), &here, 1L, &there, 1L, 0L));

	return result == -EFAULT ? 0 : result;
}

static int open_below(const long *words)
{
	struct stat got, own = { 0 };
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid_of(words[0]), (const char *)words[1]);
	fd = open(path, (int)words[2]);
	if (fd < 0 || fstat(fd, &got) < 0)
		return -errno;
	fstat(target.source_fd, &own);
	/* What is its own under another's name is no loot. */
	return got.st_ino == own.st_ino && got.st_dev == own.st_dev ? -EXDEV : 0;
}

static int trace(const long *words)
{
	pid_t pid = pid_of(words[0]);

	if (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0)
		return -errno;
	return 0; /* its end lets the other go */
}

/* A traced child's code can be written, whatever the protection of its pages. */
static int trace_child(const long *words)
{
	pid_t pid = fork();
	int result;

	(void)words;
	if (pid == 0)
		_exit((int)pause());
	result = outcome(ptrace(PTRACE_SEIZE, pid, 0, 0));
	kill(pid, SIGKILL);
	return result;
}

static int take_descriptor(const long *words)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid_of(words[0]), 0);

	return pidfd < 0 ? -errno : outcome(syscall(SYS_pidfd_getfd, pidfd, 0, 0));
}

static int enter_namespaces(const long *words)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid_of(words[0]), 0);

	return pidfd < 0 ? -errno : outcome(setns(pidfd, (int)words[1]));
}

static int slow_down(const long *words)
{
	return outcome(setpriority(PRIO_PROCESS, (id_t)pid_of(words[0]), 0));
}

static int bind_to_processor(const long *words)
{
	cpu_set_t all;

	CPU_ZERO(&all);
	for (int i = 0; i < CPU_SETSIZE; i++)
		CPU_SET(i, &all);
	return outcome(sched_setaffinity(pid_of(words[0]), sizeof(all), &all));
}

static int limit(const long *words)
{
	struct rlimit now;

	return outcome(prlimit(pid_of(words[0]), RLIMIT_CORE, NULL, &now));
}

static int shared_memory(const long *words)
{
	return outcome(shmget((key_t)words[0], 0, 0));
}

static int open_queue(const long *words)
{
	return outcome(syscall(SYS_mq_open, words[0], O_RDONLY, 0, NULL));
}

/* Started by nobody, a set-user-ID file makes its owner of whoever starts it. */
static int run_set_user_id(const long *words)
{
	int status;
	pid_t pid = fork();

	(void)words;
	if (pid == 0) {
		if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
			_exit(2);
		execl(SET_USER_ID_FILE, "hostile", "--who-am-i", NULL);
		_exit(2);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

/* Who is logged in, according to the audit trail, may be written once. */
static int pose_as_login(const long *words)
{
	int fd = open("/proc/self/loginuid", O_WRONLY);

	(void)words;
	return fd < 0 ? -errno : outcome(write(fd, "0", 1));
}

/* Be the last that the kernel kills when memory runs out. */
static int survive_others(const long *words)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);

	(void)words;
	return fd < 0 ? -errno : outcome(write(fd, "-1", 2));
}

const struct attempt on_processes[] = {
	{ "see init", see, { INIT } },
	{ "see another user's process", see, { VICTIM } },
	{ "see another mount's server", see, { NEIGHBOUR } },
	{ "signal init", signal_it, { INIT } },
	{ "signal another user's process", signal_it, { VICTIM } },
	{ "signal another mount's server", signal_it, { NEIGHBOUR } },
	{ "signal another mount's server by a pidfd", signal_by_descriptor, { NEIGHBOUR } },
	{ "read the memory of init", move_memory, { INIT, SYS_process_vm_readv } },
	{ "read the memory of another mount's server",
	  move_memory,
	  { NEIGHBOUR, SYS_process_vm_readv } },
	{ "write the memory of another mount's server",
	  move_memory,
	  { NEIGHBOUR, SYS_process_vm_writev } },
	{ "trace another mount's server", trace, { NEIGHBOUR } },
	{ "read the image of another mount", open_below, { NEIGHBOUR, P("fd/3"), O_RDONLY } },
	{ "take a descriptor of another mount", take_descriptor, { NEIGHBOUR } },
	{ "slow another mount down", slow_down, { NEIGHBOUR } },
	{ "move another mount to a processor", bind_to_processor, { NEIGHBOUR } },
	{ "read the limits of another mount", limit, { NEIGHBOUR } },
	{ "read the memory of fsvc-open", move_memory, { STARTER, SYS_process_vm_readv } },
	{ "write the memory of fsvc-open", move_memory, { STARTER, SYS_process_vm_writev } },
	{ "write the code of fsvc-open", open_below, { STARTER, P("mem"), O_RDWR } },
	{ "trace fsvc-open", trace, { STARTER } },
	{ "take a descriptor of fsvc-open", take_descriptor, { STARTER } },
	{ "open a descriptor of fsvc-open", open_below, { STARTER, P("fd/0"), O_RDONLY } },
	{ "signal fsvc-open", signal_it, { STARTER } },
	{ "trace its own child", trace_child, { 0 } },
	{ "enter the mounts of init", enter_namespaces, { INIT, CLONE_NEWNS } },
	{ "enter the network of init", enter_namespaces, { INIT, CLONE_NEWNET } },
	{ "the machine's System V memory", shared_memory, { 0x66737663 } },
	{ "the machine's message queues", open_queue, { P("hostile-test") } },
	{ "become root by a set-user-ID file", run_set_user_id, { 0 } },
	{ "pose as a login in the audit trail", pose_as_login, { 0 } },
	{ "survive others when memory runs out", survive_others, { 0 } },
	{ "run before the others", by_call, { SYS_setpriority, PRIO_PROCESS, 0, -1 } },
	{ "run in real time",
	  by_call,
	  { SYS_sched_setscheduler, 0, SCHED_FIFO,
	    P(&(struct sched_param){ .sched_priority = 1 }) } },
	{ "raise a limit",
	  by_call,
	  { SYS_prlimit64, 0, RLIMIT_CORE, P(&(struct rlimit){ 4096, 4096 }), 0 } },
	{ "become root", by_call, { SYS_setuid, 0 } },
	{ "become another user", by_call, { SYS_setresuid, 12345, 12345, 12345 } },
	{ "become another group", by_call, { SYS_setresgid, 12345, 12345, 12345 } },
	{ "join groups", by_call, { SYS_setgroups, 0, 0 } },
	{ 0 },
};
