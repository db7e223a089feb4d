// SPDX-License-Identifier: LGPL-2.1-or-later
/* System calls that need privilege, and parts of the kernel that had many vulnerabilities. */
#include "hostile.h"
#include "newcalls.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define X32_BIT 0x40000000

static int clone3_with_flags(const long *args)
{
	struct clone_args arguments = { .flags = (uint64_t)args[0], .exit_signal = SIGCHLD };
	pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));

	if (pid == 0)
		_exit(0);
	return syscall_error(pid);
}

/* RestrictNamespaces= filters the flags of clone(2). A filter cannot see those of clone3(2). */
static int clone_with_flags(const long *args)
{
	pid_t pid = (pid_t)syscall(SYS_clone, args[0] | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return syscall_error(pid);
}

/* Connect a socket of socketpair(2), which a filter of socket(2) does not see. */
static int connect_socket(const long *args)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *name = (const char *)args[0];
	size_t length = strlen(name);
	int pair[2];

	memcpy(address.sun_path, name, length);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
		return -errno;
	return syscall_error(connect(pair[0], (struct sockaddr *)&address,
				     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)));
}

/* A seccomp filter of the server's own with a notify_fd would answer its later system calls. */
static int create_notify_fd(const long *args)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 1, &allow };

	(void)args;
	return syscall_error(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				     SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
}

static int gain_capability(const long *args)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct all[2];

	(void)args;
	memset(all, 0, sizeof(all));
	all[0].effective = all[0].permitted = 1U << CAP_SYS_ADMIN;
	return syscall_error(syscall(SYS_capset, &header, all));
}

static int create_bpf_map(const long *args)
{
	union bpf_attr attributes;

	(void)args;
	memset(&attributes, 0, sizeof(attributes));
	attributes.map_type = BPF_MAP_TYPE_ARRAY;
	attributes.key_size = attributes.value_size = 4;
	attributes.max_entries = 1;
	return syscall_error(syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes)));
}

static int open_perf_event(const long *args)
{
	struct perf_event_attr attributes = { .type = PERF_TYPE_SOFTWARE,
					      .size = sizeof(attributes),
					      .config = PERF_COUNT_SW_CPU_CLOCK };

	(void)args;
	return syscall_error(syscall(SYS_perf_event_open, &attributes, 1, -1, -1, 0));
}

static int create_io_uring(const long *args)
{
	struct io_uring_params params;

	(void)args;
	memset(&params, 0, sizeof(params));
	return syscall_error(syscall(SYS_io_uring_setup, 1, &params));
}

/* Set the clock to the current time. */
static int set_clock(const long *args)
{
	struct timespec now;

	(void)args;
	clock_gettime(CLOCK_REALTIME, &now);
	return syscall_error(syscall(SYS_clock_settime, CLOCK_REALTIME, &now));
}

static int adjust_clock(const long *args)
{
	struct timex adjustment = { .modes = ADJ_OFFSET | ADJ_STATUS, .status = 0 };

	(void)args;
	return syscall_error(syscall(SYS_adjtimex, &adjustment));
}

#ifdef __x86_64__
/* Call getpid(2) by the 32-bit interface, whose system call numbers a filter may not know. */
static int call_as_32_bit(const long *args)
{
	long result = args[0];

	__asm__ volatile("int $0x80" : "+a"(result) : : "r8", "r9", "r10", "r11", "memory");
	return result < 0 ? (int)result : 0;
}
#endif

/* Insert input into a terminal. */
static int insert_terminal_input(const long *args)
{
	int terminal = open((const char *)args[0], O_RDWR);

	if (terminal < 0)
		return -errno;
	return syscall_error(ioctl(terminal, TIOCSTI, "x"));
}

const struct attempt kernel_attempts[] = {
	/* networks */
	{ "a socket of AF_INET", call_syscall, { SYS_socket, AF_INET, SOCK_STREAM } },
	{ "a raw socket", call_syscall, { SYS_socket, AF_INET, SOCK_RAW, 1 } },
	{ "a socket of AF_INET6", call_syscall, { SYS_socket, AF_INET6, SOCK_STREAM } },
	{ "a socket of AF_UNIX", call_syscall, { SYS_socket, AF_UNIX, SOCK_STREAM } },
	{ "a socket of AF_NETLINK", call_syscall, { SYS_socket, AF_NETLINK, SOCK_RAW } },
	{ "a socket of AF_PACKET", call_syscall, { SYS_socket, AF_PACKET, SOCK_RAW } },
	{ "a socket of AF_VSOCK", call_syscall, { SYS_socket, AF_VSOCK, SOCK_STREAM } },
	{ "a socket of AF_ALG", call_syscall, { SYS_socket, AF_ALG, SOCK_SEQPACKET } },
	{ "a socket of AF_BLUETOOTH", call_syscall, { SYS_socket, AF_BLUETOOTH, SOCK_RAW, 1 } },
	{ "a socket of AF_XDP", call_syscall, { SYS_socket, AF_XDP, SOCK_RAW } },
	{ "the machine's abstract sockets", connect_socket, { P("@hostile-test") } },
	{ "the journal's socket", connect_socket, { P("/run/systemd/journal/socket") } },
	/* namespaces */
	{ "a user namespace", call_syscall, { SYS_unshare, CLONE_NEWUSER } },
	{ "a mount namespace", call_syscall, { SYS_unshare, CLONE_NEWNS } },
	{ "a network namespace", call_syscall, { SYS_unshare, CLONE_NEWNET } },
	{ "a process namespace", call_syscall, { SYS_unshare, CLONE_NEWPID } },
	{ "a user namespace by clone", clone_with_flags, { CLONE_NEWUSER } },
	{ "a user namespace by clone3", clone3_with_flags, { CLONE_NEWUSER } },
	/* mounts: outside the sandbox, these run in a mount namespace of the test */
	{ "mount a tmpfs", call_syscall, { SYS_mount, P("x"), P("/run"), P("tmpfs"), 0, 0 } },
	{ "mount /proc anew", call_syscall, { SYS_mount, P("x"), P("/run"), P("proc"), 0, 0 } },
	{ "bind a directory to another",
	  call_syscall,
	  { SYS_mount, P("/usr"), P("/run"), 0, MS_BIND, 0 } },
	{ "make /usr writable",
	  call_syscall,
	  { SYS_mount, 0, P("/usr"), 0, MS_REMOUNT | MS_BIND, 0 } },
	{ "make mounts shared", call_syscall, { SYS_mount, 0, P("/"), 0, MS_SHARED | MS_REC, 0 } },
	{ "unmount /run", call_syscall, { SYS_umount2, P("/run"), MNT_DETACH } },
	{ "a filesystem by fsopen", call_syscall, { SYS_fsopen, P("tmpfs"), 0 } },
	{ "a filesystem by fspick", call_syscall, { SYS_fspick, AT_FDCWD, P("/"), 0 } },
	{ "a copy of the mounts by open_tree",
	  call_syscall,
	  { SYS_open_tree, AT_FDCWD, P("/"), 1 /* OPEN_TREE_CLONE */ } },
	{ "make mounts writable by mount_setattr",
	  call_syscall,
	  { SYS_mount_setattr, AT_FDCWD, P("/"), 0,
	    P(&(struct mount_attr){ .attr_clr = MOUNT_ATTR_RDONLY }), sizeof(struct mount_attr) } },
	{ "change the root directory", call_syscall, { SYS_chroot, P("/usr") } },
	{ "change the root mount", call_syscall, { SYS_pivot_root, P("/"), P("/") } },
	/* the machine */
	{ "load a module", call_syscall, { SYS_init_module, P("no module"), 9, P("") } },
	{ "load a module from a file", call_syscall, { SYS_finit_module, 0, P(""), 0 } },
	{ "unload a module", call_syscall, { SYS_delete_module, P("fuse"), O_NONBLOCK } },
	{ "start another kernel", call_syscall, { SYS_kexec_load, 0, 0, 0, 0 } },
	{ "reboot", call_syscall, { SYS_reboot, 0xfee1dead, 672274793, 0x89abcdef } },
	{ "swap to a file", call_syscall, { SYS_swapon, P("/usr/bin/true"), 0 } },
	{ "stop swapping", call_syscall, { SYS_swapoff, P("/usr/bin/true") } },
	{ "enable process accounting", call_syscall, { SYS_acct, 0 } },
	{ "set a quota", call_syscall, { SYS_quotactl, 0x800001U << 8, 0, 0, 0 } },
	{ "set the host name", call_syscall, { SYS_sethostname, P("hostile"), 7 } },
	{ "set the domain name", call_syscall, { SYS_setdomainname, P("hostile"), 7 } },
	{ "set the clock", set_clock, { 0 } },
	{ "adjust the clock", adjust_clock, { 0 } },
	{ "read the kernel's log", call_syscall, { SYS_syslog, 10 } },
	{ "hang up the terminal", call_syscall, { SYS_vhangup } },
	{ "watch the disk by fanotify", call_syscall, { SYS_fanotify_init, 0, O_RDONLY } },
	{ "access I/O ports by iopl", call_syscall, { SYS_iopl, 3 } },
	{ "access an I/O port by ioperm", call_syscall, { SYS_ioperm, 0x80, 1, 1 } },
	{ "insert input into a terminal", insert_terminal_input, { P("/dev/pts/0") } },
	/* itself */
	{ "take a capability", gain_capability, { 0 } },
	{ "drop a capability from its bounding set",
	  call_syscall,
	  { SYS_prctl, PR_CAPBSET_DROP, CAP_SYSLOG } },
	{ "set READ_IMPLIES_EXEC", call_syscall, { SYS_personality, READ_IMPLIES_EXEC } },
	{ "disable address randomization", call_syscall, { SYS_personality, ADDR_NO_RANDOMIZE } },
	{ "x32 system calls", call_syscall, { X32_BIT | SYS_getppid } },
#ifdef __x86_64__
	{ "32-bit system calls", call_as_32_bit, { 20 } },
	{ "modify the LDT", call_syscall, { SYS_modify_ldt, 0, 0, 0 } },
#endif
	/* parts of the kernel that had many vulnerabilities */
	{ "create a BPF map", create_bpf_map, { 0 } },
	{ "open a perf event", open_perf_event, { 0 } },
	{ "io_uring", create_io_uring, { 0 } },
	{ "create a userfaultfd", call_syscall, { SYS_userfaultfd, O_CLOEXEC } },
	{ "add a key", call_syscall, { SYS_add_key, P("user"), P("hostile"), P("x"), 1, -3 } },
	{ "a keyring", call_syscall, { SYS_keyctl, 1, 0 } },
	{ "ask for a key", call_syscall, { SYS_request_key, P("user"), P("hostile"), 0, 0 } },
	{ "compare two processes", call_syscall, { SYS_kcmp, 1, 1, 0, 0, 0 } },
	{ "set a NUMA policy", call_syscall, { SYS_set_mempolicy, 0, 0, 0 } },
	{ "migrate pages of another process", call_syscall, { SYS_migrate_pages, 1, 0, 0, 0 } },
	{ "create a seccomp notify_fd", create_notify_fd, { 0 } },
	{ 0 },
};
