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

/* A call that may be done. Those that not every architecture has stand below an #ifdef. */
#define MAY(name)                                                                                  \
	{                                                                                          \
		.number = SYS_##name, .action = SECCOMP_RET_ALLOW                                  \
	}
/* ... if those bits of that argument are VALUE. */
#define MAY_IF(name, which, bits, wanted)                                                          \
	{                                                                                          \
		.number = SYS_##name, .action = SECCOMP_RET_ALLOW, .argument = (which),            \
		.mask = (bits), .value = (wanted)                                                  \
	}
/* ... but not if all those bits are there. */
#define MAY_NOT_IF(name, which, bits)                                                              \
	{ .number = SYS_##name,                                                                    \
	  .action = FAIL_WITH(EPERM),                                                              \
	  .argument = (which),                                                                     \
	  .mask = (bits),                                                                          \
	  .value = (bits) },                                                                       \
		MAY(name)

/* clang-format off */
static const struct syscall_filter_rule calls[] = {
	/* memory, none of it writable and executable, nor one after the other */
	MAY(brk), MAY(madvise), MAY(membarrier), MAY(mincore), MAY(mlock), MAY(mlock2), MAY(mlockall),
	MAY(mremap), MAY(msync), MAY(munlock), MAY(munlockall), MAY(munmap), MAY(get_mempolicy),
#ifdef SYS_mmap
	MAY_NOT_IF(mmap, 2, PROT_WRITE | PROT_EXEC),
#endif
#ifdef SYS_mmap2
	MAY_NOT_IF(mmap2, 2, PROT_WRITE | PROT_EXEC),
#endif
	MAY_NOT_IF(mprotect, 2, PROT_EXEC),

	/* descriptors */
	MAY(close), MAY(dup), MAY(dup3), MAY(fcntl), MAY(ioctl), MAY(pipe2),
	MAY(read), MAY(readv), MAY(pread64), MAY(preadv), MAY(preadv2),
	MAY(write), MAY(writev), MAY(pwrite64), MAY(pwritev), MAY(pwritev2),
	MAY(lseek), MAY(copy_file_range), MAY(sendfile), MAY(splice), MAY(tee), MAY(vmsplice),
	MAY(readahead), MAY(fallocate), MAY(fadvise64), MAY(flock),
	MAY(fsync), MAY(fdatasync), MAY(sync), MAY(syncfs), MAY(truncate), MAY(ftruncate),
	MAY(io_setup), MAY(io_submit), MAY(io_getevents), MAY(io_cancel), MAY(io_destroy),
#ifdef SYS_io_pgetevents /* Linux 4.18 */
	MAY(io_pgetevents),
#endif
	MAY(close_range),

	/* files: there are few, and none to write */
	MAY(chdir), MAY(fchdir), MAY(getcwd), MAY(umask), MAY(getdents64),
	MAY(openat), MAY(newfstatat), MAY(fstat), MAY(statx), MAY(faccessat), MAY(readlinkat),
	MAY(statfs), MAY(fstatfs), MAY(mkdirat), MAY(unlinkat), MAY(renameat2), MAY(linkat),
	MAY(symlinkat), MAY(utimensat), MAY(name_to_handle_at),
	MAY_IF(fchmod, 1, S_ISUID | S_ISGID, 0), MAY_IF(fchmodat, 2, S_ISUID | S_ISGID, 0),
	MAY(getxattr), MAY(lgetxattr), MAY(fgetxattr), MAY(listxattr), MAY(llistxattr), MAY(flistxattr),
	MAY(setxattr), MAY(lsetxattr), MAY(fsetxattr),
	MAY(removexattr), MAY(lremovexattr), MAY(fremovexattr),
	MAY(inotify_init1), MAY(inotify_add_watch), MAY(inotify_rm_watch),
	MAY(openat2),
	MAY(faccessat2),
	MAY_IF(fchmodat2, 2, S_ISUID | S_ISGID, 0),

	/* waiting */
	MAY(epoll_create1), MAY(epoll_ctl), MAY(epoll_pwait), MAY(ppoll), MAY(pselect6), MAY(eventfd2),
	MAY(timerfd_create), MAY(timerfd_gettime), MAY(timerfd_settime), MAY(signalfd4),
	MAY(nanosleep), MAY(clock_nanosleep), MAY(clock_gettime), MAY(clock_getres), MAY(gettimeofday),
	MAY(getitimer), MAY(setitimer), MAY(timer_create), MAY(timer_delete), MAY(timer_getoverrun),
	MAY(timer_gettime), MAY(timer_settime),
	MAY(futex), MAY(get_robust_list), MAY(set_robust_list),
	MAY(epoll_pwait2),
	MAY(futex_waitv),
#ifdef SYS_rseq /* 4.18 */
	MAY(rseq),
#endif

	/* its own processes; what clone3 is told stands in memory, where a filter cannot look */
	MAY_IF(clone, CLONE_FLAGS, NAMESPACES, 0), MAY_IF(unshare, 0, NAMESPACES | CLONE_NEWTIME, 0),
#ifdef SYS_clone3 /* 5.3 */
	{ .number = SYS_clone3, .action = FAIL_WITH(ENOSYS) },
#endif
	MAY(execve), MAY(execveat), MAY(exit), MAY(exit_group), MAY(wait4), MAY(waitid),
	MAY(kill), MAY(tkill), MAY(tgkill), MAY(prctl), MAY(set_tid_address),
	MAY(process_vm_readv), MAY(process_vm_writev), MAY(kcmp),
	MAY(getpid), MAY(getppid), MAY(gettid), MAY(getpgid), MAY(setpgid), MAY(getsid), MAY(setsid),
	MAY(getcpu), MAY(getpriority), MAY(getrusage), MAY(times), MAY(ioprio_get),
	MAY(sched_yield), MAY(sched_getaffinity), MAY(sched_getattr), MAY(sched_getparam),
	MAY(sched_getscheduler), MAY(sched_get_priority_max), MAY(sched_get_priority_min),
	MAY(sched_rr_get_interval), MAY(prlimit64),
	MAY(rt_sigaction), MAY(rt_sigpending), MAY(rt_sigprocmask), MAY(rt_sigqueueinfo),
	MAY(rt_sigreturn), MAY(rt_sigsuspend), MAY(rt_sigtimedwait), MAY(rt_tgsigqueueinfo),
	MAY(sigaltstack), MAY(restart_syscall),
#ifdef SYS_pidfd_open /* 5.3 */
	MAY(pidfd_open),
#endif
#ifdef SYS_pidfd_send_signal /* 5.1 */
	MAY(pidfd_send_signal),
#endif

	/* where it is, and as whom; 0xffffffff asks which personality it has */
	MAY(getrandom), MAY(sysinfo), MAY(uname), MAY(capget),
	MAY(getuid), MAY(geteuid), MAY(getgid), MAY(getegid), MAY(getgroups), MAY(getresuid), MAY(getresgid),
	MAY_IF(personality, 0, 0xffffffff, 0), MAY_IF(personality, 0, 0xffffffff, 0xffffffff),

	/* a connection that it has, and a pair; there is nobody to connect to */
	{ .number = SYS_socket, .action = FAIL_WITH(EAFNOSUPPORT) },
	MAY_IF(socketpair, 0, 0xffffffff, AF_UNIX), MAY(shutdown), MAY(getsockname), MAY(getpeername), MAY(getsockopt), MAY(setsockopt),
	MAY(sendto), MAY(sendmsg), MAY(sendmmsg), MAY(recvfrom), MAY(recvmsg), MAY(recvmmsg),

	/* What fsvc-open answers, and answers by. A filter that refuses a call leaves it nothing to
	 * answer; the kernel refuses these for want of privilege. */
	MAY(seccomp), MAY(mount), MAY(umount2), MAY(capset),
	MAY(setuid), MAY(setgid), MAY(setreuid), MAY(setregid), MAY(setresuid), MAY(setresgid),
	MAY(setfsuid), MAY(setfsgid), MAY(setgroups),
	MAY(landlock_create_ruleset), MAY(landlock_add_rule), MAY(landlock_restrict_self),

	/* older names for the same */
#ifdef SYS_open
	MAY(open), MAY(creat), MAY(stat), MAY(lstat), MAY(access), MAY(readlink), MAY(getdents),
	MAY(mkdir), MAY(rmdir), MAY(unlink), MAY(rename), MAY(link), MAY(symlink), MAY(utime), MAY(utimes),
	MAY(futimesat), MAY_IF(chmod, 1, S_ISUID | S_ISGID, 0), MAY(dup2), MAY(pipe), MAY(inotify_init),
	MAY(epoll_create), MAY(epoll_wait), MAY(poll), MAY(select), MAY(eventfd), MAY(signalfd),
	MAY(fork), MAY(vfork), MAY(pause), MAY(alarm), MAY(time), MAY(getpgrp),
#endif
#ifdef SYS_sync_file_range
	MAY(sync_file_range),
#endif
#ifdef SYS_renameat
	MAY(renameat),
#endif
#ifdef SYS_getrlimit
	MAY(getrlimit),
#endif
#ifdef SYS_arch_prctl
	MAY(arch_prctl),
#endif
#ifdef SYS_set_thread_area
	MAY(set_thread_area),
#endif
#ifdef SYS_get_thread_area
	MAY(get_thread_area),
#endif
#ifdef SYS_riscv_flush_icache
	MAY(riscv_flush_icache),
#endif
};
/* clang-format on */

int sandbox_syscalls_filter(void)
{
	struct syscall_filter_rule rules[ARRAY_SIZE(calls)];

	memcpy(rules, calls, sizeof(calls));
	return syscall_filter_install(rules, ARRAY_SIZE(calls), FAIL_WITH(EPERM), 0);
}
