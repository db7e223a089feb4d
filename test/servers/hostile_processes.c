// SPDX-License-Identifier: LGPL-2.1-or-later
/* Attempts on other processes: those of other users, servers of other mounts, and fsvc-open. */
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

enum target_process { INIT, VICTIM, NEIGHBOUR, PARENT };

static pid_t pid_of(long process)
{
	const pid_t pids[] = { 1, target.victim, target.neighbour, target.parent };

	return pids[process];
}

static int access_proc_directory(const long *args)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid_of(args[0]));
	return syscall_error(access(path, F_OK));
}

/* Signal 0 only checks the permission. */
static int send_signal(const long *args)
{
	return syscall_error(kill(pid_of(args[0]), 0));
}

static int send_signal_by_pidfd(const long *args)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid_of(args[0]), 0);

	return pidfd < 0 ? -errno
			 : syscall_error(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0));
}

/* The address is invalid: EFAULT means that the kernel has allowed the access. */
static int access_memory(const long *args)
{
	char byte = 0;
	struct iovec local = { &byte, 1 }, remote = { (void *)1, 1 };
	int result = syscall_error(syscall(args[1], pid_of(args[0]), &local, 1L, &remote, 1L, 0L));

	return result == -EFAULT ? 0 : result;
}

static int open_proc_file(const long *args)
{
	struct stat opened, own = { 0 };
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid_of(args[0]), (const char *)args[1]);
	fd = open(path, (int)args[2]);
	if (fd < 0 || fstat(fd, &opened) < 0)
		return -errno;
	fstat(target.source_fd, &own);
	/* The server may have its own source. */
	return opened.st_ino == own.st_ino && opened.st_dev == own.st_dev ? -EXDEV : 0;
}

static int trace(const long *args)
{
	pid_t pid = pid_of(args[0]);

	if (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0)
		return -errno;
	return 0; /* the exit of the tracer detaches */
}

/* A tracer can write to read-only pages of its child. */
static int trace_child(const long *args)
{
	pid_t pid = fork();
	int result;

	(void)args;
	if (pid == 0)
		_exit((int)pause());
	result = syscall_error(ptrace(PTRACE_SEIZE, pid, 0, 0));
	kill(pid, SIGKILL);
	return result;
}

static int take_fd(const long *args)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid_of(args[0]), 0);

	return pidfd < 0 ? -errno : syscall_error(syscall(SYS_pidfd_getfd, pidfd, 0, 0));
}

static int enter_namespaces(const long *args)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid_of(args[0]), 0);

	return pidfd < 0 ? -errno : syscall_error(setns(pidfd, (int)args[1]));
}

static int set_priority(const long *args)
{
	return syscall_error(setpriority(PRIO_PROCESS, (id_t)pid_of(args[0]), 0));
}

static int set_affinity(const long *args)
{
	cpu_set_t all;

	CPU_ZERO(&all);
	for (int i = 0; i < CPU_SETSIZE; i++)
		CPU_SET(i, &all);
	return syscall_error(sched_setaffinity(pid_of(args[0]), sizeof(all), &all));
}

static int read_limit(const long *args)
{
	struct rlimit now;

	return syscall_error(prlimit(pid_of(args[0]), RLIMIT_CORE, NULL, &now));
}

static int open_shared_memory(const long *args)
{
	return syscall_error(shmget((key_t)args[0], 0, 0));
}

static int open_queue(const long *args)
{
	return syscall_error(syscall(SYS_mq_open, args[0], O_RDONLY, 0, NULL));
}

/* Run a set-user-ID program as an unprivileged user. */
static int run_set_user_id(const long *args)
{
	int status;
	pid_t pid = fork();

	(void)args;
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

/* The login user ID of the audit log can be set once. */
static int set_login_uid(const long *args)
{
	int fd = open("/proc/self/loginuid", O_WRONLY);

	(void)args;
	return fd < 0 ? -errno : syscall_error(write(fd, "0", 1));
}

/* Lower the OOM score, so that the kernel kills other processes first. */
static int lower_oom_score(const long *args)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);

	(void)args;
	return fd < 0 ? -errno : syscall_error(write(fd, "-1", 2));
}

const struct attempt process_attempts[] = {
	{ "see init", access_proc_directory, { INIT } },
	{ "see another user's process", access_proc_directory, { VICTIM } },
	{ "see another mount's server", access_proc_directory, { NEIGHBOUR } },
	{ "signal init", send_signal, { INIT } },
	{ "signal another user's process", send_signal, { VICTIM } },
	{ "signal another mount's server", send_signal, { NEIGHBOUR } },
	{ "signal another mount's server by a pidfd", send_signal_by_pidfd, { NEIGHBOUR } },
	{ "read the memory of init", access_memory, { INIT, SYS_process_vm_readv } },
	{ "read the memory of another mount's server",
	  access_memory,
	  { NEIGHBOUR, SYS_process_vm_readv } },
	{ "write the memory of another mount's server",
	  access_memory,
	  { NEIGHBOUR, SYS_process_vm_writev } },
	{ "trace another mount's server", trace, { NEIGHBOUR } },
	{ "read the image of another mount", open_proc_file, { NEIGHBOUR, P("fd/3"), O_RDONLY } },
	{ "take a descriptor of another mount", take_fd, { NEIGHBOUR } },
	{ "slow another mount down", set_priority, { NEIGHBOUR } },
	{ "move another mount to a processor", set_affinity, { NEIGHBOUR } },
	{ "read the limits of another mount", read_limit, { NEIGHBOUR } },
	{ "read the memory of fsvc-open", access_memory, { PARENT, SYS_process_vm_readv } },
	{ "write the memory of fsvc-open", access_memory, { PARENT, SYS_process_vm_writev } },
	{ "write the code of fsvc-open", open_proc_file, { PARENT, P("mem"), O_RDWR } },
	{ "trace fsvc-open", trace, { PARENT } },
	{ "take a descriptor of fsvc-open", take_fd, { PARENT } },
	{ "open a descriptor of fsvc-open", open_proc_file, { PARENT, P("fd/0"), O_RDONLY } },
	{ "signal fsvc-open", send_signal, { PARENT } },
	{ "trace its own child", trace_child, { 0 } },
	{ "enter the mounts of init", enter_namespaces, { INIT, CLONE_NEWNS } },
	{ "enter the network of init", enter_namespaces, { INIT, CLONE_NEWNET } },
	{ "the machine's System V memory", open_shared_memory, { 0x66737663 } },
	{ "the machine's message queues", open_queue, { P("hostile-test") } },
	{ "become root by a set-user-ID file", run_set_user_id, { 0 } },
	{ "set the login user ID", set_login_uid, { 0 } },
	{ "lower its OOM score", lower_oom_score, { 0 } },
	{ "raise its priority", call_syscall, { SYS_setpriority, PRIO_PROCESS, 0, -1 } },
	{ "use real-time scheduling",
	  call_syscall,
	  { SYS_sched_setscheduler, 0, SCHED_FIFO,
	    P(&(struct sched_param){ .sched_priority = 1 }) } },
	{ "raise a limit",
	  call_syscall,
	  { SYS_prlimit64, 0, RLIMIT_CORE, P(&(struct rlimit){ 4096, 4096 }), 0 } },
	{ "become root", call_syscall, { SYS_setuid, 0 } },
	{ "become another user", call_syscall, { SYS_setresuid, 12345, 12345, 12345 } },
	{ "become another group", call_syscall, { SYS_setresgid, 12345, 12345, 12345 } },
	{ "join groups", call_syscall, { SYS_setgroups, 0, 0 } },
	{ 0 },
};
