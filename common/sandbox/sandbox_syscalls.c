/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sandbox/sandbox_syscalls.h"

#include "base/array.h"
#include "base/new_syscalls.h"
#include "base/syscall_filter.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

#define NAMESPACES                                                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
	 CLONE_NEWPID | CLONE_NEWNET)

/* The argument of clone(2) with the flags. */
#ifdef __s390x__
#define CLONE_FLAGS 1
#else
#define CLONE_FLAGS 0
#endif

#define FAIL_WITH(error) (SECCOMP_RET_ERRNO | (error))

/* Allow a call. Calls that some architectures lack are inside #ifdef. */
#define ALLOW(name)                                                                                \
	{                                                                                          \
		.number = SYS_##name, .action = SECCOMP_RET_ALLOW                                  \
	}
/* Allow it if the bits BITS of argument INDEX are VALUE. */
#define ALLOW_IF(name, index, bits, wanted)                                                        \
	{                                                                                          \
		.number = SYS_##name, .action = SECCOMP_RET_ALLOW, .argument = (index),            \
		.mask = (bits), .value = (wanted)                                                  \
	}
/* Allow it unless all of BITS are set in argument INDEX. */
#define DENY_IF(name, index, bits)                                                                 \
	{ .number = SYS_##name,                                                                    \
	  .action = FAIL_WITH(EPERM),                                                              \
	  .argument = (index),                                                                     \
	  .mask = (bits),                                                                          \
	  .value = (bits) },                                                                       \
		ALLOW(name)

/* clang-format off */
static const struct syscall_filter_rule allowed[] = {
	/* memory: not writable and executable, and writable memory cannot become executable */
	ALLOW(brk), ALLOW(madvise), ALLOW(membarrier), ALLOW(mincore), ALLOW(mlock), ALLOW(mlock2), ALLOW(mlockall),
	ALLOW(mremap), ALLOW(msync), ALLOW(munlock), ALLOW(munlockall), ALLOW(munmap), ALLOW(get_mempolicy),
#ifdef SYS_mmap
	DENY_IF(mmap, 2, PROT_WRITE | PROT_EXEC),
#endif
#ifdef SYS_mmap2
	DENY_IF(mmap2, 2, PROT_WRITE | PROT_EXEC),
#endif
	DENY_IF(mprotect, 2, PROT_EXEC),

	/* file descriptors */
	ALLOW(close), ALLOW(dup), ALLOW(dup3), ALLOW(fcntl), ALLOW(ioctl), ALLOW(pipe2),
	ALLOW(read), ALLOW(readv), ALLOW(pread64), ALLOW(preadv), ALLOW(preadv2),
	ALLOW(write), ALLOW(writev), ALLOW(pwrite64), ALLOW(pwritev), ALLOW(pwritev2),
	ALLOW(lseek), ALLOW(copy_file_range), ALLOW(sendfile), ALLOW(splice), ALLOW(tee), ALLOW(vmsplice),
	ALLOW(readahead), ALLOW(fallocate), ALLOW(fadvise64), ALLOW(flock),
	ALLOW(fsync), ALLOW(fdatasync), ALLOW(sync), ALLOW(syncfs), ALLOW(truncate), ALLOW(ftruncate),
	ALLOW(io_setup), ALLOW(io_submit), ALLOW(io_getevents), ALLOW(io_cancel), ALLOW(io_destroy),
#ifdef SYS_io_pgetevents /* Linux 4.18 */
	ALLOW(io_pgetevents),
#endif
	ALLOW(close_range),

	/* files: the sandbox contains few, and none that can be written */
	ALLOW(chdir), ALLOW(fchdir), ALLOW(getcwd), ALLOW(umask), ALLOW(getdents64),
	ALLOW(openat), ALLOW(newfstatat), ALLOW(fstat), ALLOW(statx), ALLOW(faccessat), ALLOW(readlinkat),
	ALLOW(statfs), ALLOW(fstatfs), ALLOW(mkdirat), ALLOW(unlinkat), ALLOW(renameat2), ALLOW(linkat),
	ALLOW(symlinkat), ALLOW(utimensat), ALLOW(name_to_handle_at),
	ALLOW_IF(fchmod, 1, S_ISUID | S_ISGID, 0), ALLOW_IF(fchmodat, 2, S_ISUID | S_ISGID, 0),
	ALLOW(getxattr), ALLOW(lgetxattr), ALLOW(fgetxattr), ALLOW(listxattr), ALLOW(llistxattr), ALLOW(flistxattr),
	ALLOW(setxattr), ALLOW(lsetxattr), ALLOW(fsetxattr),
	ALLOW(removexattr), ALLOW(lremovexattr), ALLOW(fremovexattr),
	ALLOW(inotify_init1), ALLOW(inotify_add_watch), ALLOW(inotify_rm_watch),
	ALLOW(openat2),
	ALLOW(faccessat2),
	ALLOW_IF(fchmodat2, 2, S_ISUID | S_ISGID, 0),

	/* waiting */
	ALLOW(epoll_create1), ALLOW(epoll_ctl), ALLOW(epoll_pwait), ALLOW(ppoll), ALLOW(pselect6), ALLOW(eventfd2),
	ALLOW(timerfd_create), ALLOW(timerfd_gettime), ALLOW(timerfd_settime), ALLOW(signalfd4),
	ALLOW(nanosleep), ALLOW(clock_nanosleep), ALLOW(clock_gettime), ALLOW(clock_getres), ALLOW(gettimeofday),
	ALLOW(getitimer), ALLOW(setitimer), ALLOW(timer_create), ALLOW(timer_delete), ALLOW(timer_getoverrun),
	ALLOW(timer_gettime), ALLOW(timer_settime),
	ALLOW(futex), ALLOW(get_robust_list), ALLOW(set_robust_list),
	ALLOW(epoll_pwait2),
	ALLOW(futex_waitv),
#ifdef SYS_rseq /* 4.18 */
	ALLOW(rseq),
#endif

	/*
	 * processes and threads; clone3 fails, because its flags are in memory, which a filter
	 * cannot read
	 */
	ALLOW_IF(clone, CLONE_FLAGS, NAMESPACES, 0), ALLOW_IF(unshare, 0, NAMESPACES | CLONE_NEWTIME, 0),
#ifdef SYS_clone3 /* 5.3 */
	{ .number = SYS_clone3, .action = FAIL_WITH(ENOSYS) },
#endif
	ALLOW(execve), ALLOW(execveat), ALLOW(exit), ALLOW(exit_group), ALLOW(wait4), ALLOW(waitid),
	ALLOW(kill), ALLOW(tkill), ALLOW(tgkill), ALLOW(prctl), ALLOW(set_tid_address),
	ALLOW(process_vm_readv), ALLOW(process_vm_writev), ALLOW(kcmp),
	ALLOW(getpid), ALLOW(getppid), ALLOW(gettid), ALLOW(getpgid), ALLOW(setpgid), ALLOW(getsid), ALLOW(setsid),
	ALLOW(getcpu), ALLOW(getpriority), ALLOW(getrusage), ALLOW(times), ALLOW(ioprio_get),
	ALLOW(sched_yield), ALLOW(sched_getaffinity), ALLOW(sched_getattr), ALLOW(sched_getparam),
	ALLOW(sched_getscheduler), ALLOW(sched_get_priority_max), ALLOW(sched_get_priority_min),
	ALLOW(sched_rr_get_interval), ALLOW(prlimit64),
	ALLOW(rt_sigaction), ALLOW(rt_sigpending), ALLOW(rt_sigprocmask), ALLOW(rt_sigqueueinfo),
	ALLOW(rt_sigreturn), ALLOW(rt_sigsuspend), ALLOW(rt_sigtimedwait), ALLOW(rt_tgsigqueueinfo),
	ALLOW(sigaltstack), ALLOW(restart_syscall),
#ifdef SYS_pidfd_open /* 5.3 */
	ALLOW(pidfd_open),
#endif
#ifdef SYS_pidfd_send_signal /* 5.1 */
	ALLOW(pidfd_send_signal),
#endif

	/* information about the system and the process; personality(0xffffffff) is a query */
	ALLOW(getrandom), ALLOW(sysinfo), ALLOW(uname), ALLOW(capget),
	ALLOW(getuid), ALLOW(geteuid), ALLOW(getgid), ALLOW(getegid), ALLOW(getgroups), ALLOW(getresuid), ALLOW(getresgid),
	ALLOW_IF(personality, 0, 0xffffffff, 0), ALLOW_IF(personality, 0, 0xffffffff, 0xffffffff),

	/* sockets that are already open, and new socket pairs */
	{ .number = SYS_socket, .action = FAIL_WITH(EAFNOSUPPORT) },
	ALLOW_IF(socketpair, 0, 0xffffffff, AF_UNIX), ALLOW(shutdown), ALLOW(getsockname), ALLOW(getpeername), ALLOW(getsockopt), ALLOW(setsockopt),
	ALLOW(sendto), ALLOW(sendmsg), ALLOW(sendmmsg), ALLOW(recvfrom), ALLOW(recvmsg), ALLOW(recvmmsg),

	/* Calls that fsvc-open emulates, or that it needs for that. If this filter denied them,
	 * fsvc-open would get no notification. Without fsvc-open the kernel denies them, because the
	 * process has no privileges. */
	ALLOW(seccomp), ALLOW(mount), ALLOW(umount2), ALLOW(capset),
	ALLOW(setuid), ALLOW(setgid), ALLOW(setreuid), ALLOW(setregid), ALLOW(setresuid), ALLOW(setresgid),
	ALLOW(setfsuid), ALLOW(setfsgid), ALLOW(setgroups),
	ALLOW(landlock_create_ruleset), ALLOW(landlock_add_rule), ALLOW(landlock_restrict_self),

	/* older calls for the same purposes */
#ifdef SYS_open
	ALLOW(open), ALLOW(creat), ALLOW(stat), ALLOW(lstat), ALLOW(access), ALLOW(readlink), ALLOW(getdents),
	ALLOW(mkdir), ALLOW(rmdir), ALLOW(unlink), ALLOW(rename), ALLOW(link), ALLOW(symlink), ALLOW(utime), ALLOW(utimes),
	ALLOW(futimesat), ALLOW_IF(chmod, 1, S_ISUID | S_ISGID, 0), ALLOW(dup2), ALLOW(pipe), ALLOW(inotify_init),
	ALLOW(epoll_create), ALLOW(epoll_wait), ALLOW(poll), ALLOW(select), ALLOW(eventfd), ALLOW(signalfd),
	ALLOW(fork), ALLOW(vfork), ALLOW(pause), ALLOW(alarm), ALLOW(time), ALLOW(getpgrp),
#endif
#ifdef SYS_sync_file_range
	ALLOW(sync_file_range),
#endif
#ifdef SYS_renameat
	ALLOW(renameat),
#endif
#ifdef SYS_getrlimit
	ALLOW(getrlimit),
#endif
#ifdef SYS_arch_prctl
	ALLOW(arch_prctl),
#endif
#ifdef SYS_set_thread_area
	ALLOW(set_thread_area),
#endif
#ifdef SYS_get_thread_area
	ALLOW(get_thread_area),
#endif
#ifdef SYS_riscv_flush_icache
	ALLOW(riscv_flush_icache),
#endif
};
/* clang-format on */

int sandbox_syscalls_filter(void)
{
	struct syscall_filter_rule rules[ARRAY_SIZE(allowed)];

	memcpy(rules, allowed, sizeof(allowed));
	return syscall_filter_install(rules, ARRAY_SIZE(allowed), FAIL_WITH(EPERM), 0);
}
