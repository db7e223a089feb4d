// SPDX-License-Identifier: LGPL-2.1-or-later
/* What only a privileged process may ask of the kernel, and what it should not offer to anybody. */
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

static int clone_into(const long *words)
{
	struct clone_args arguments = { .flags = (uint64_t)words[0], .exit_signal = SIGCHLD };
	pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));

	if (pid == 0)
		_exit(0);
	return outcome(pid);
}

/* The filter of RestrictNamespaces= sees the flags here, and not behind clone3's pointer. */
static int clone_by_flags(const long *words)
{
	pid_t pid = (pid_t)syscall(SYS_clone, words[0] | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return outcome(pid);
}

/* socketpair(2) is not socket(2), and what it gives can be connected anew. */
static int reach_socket(const long *words)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *name = (const char *)words[0];
	size_t length = strlen(name);
	int pair[2];

	memcpy(address.sun_path, name, length);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
		return -errno;
	return outcome(connect(pair[0], (struct sockaddr *)&address,
			       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)));
}

/* Who listens first, for every later call of this process, answers it. */
static int listen_for_calls(const long *words)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 1, &allow };

	(void)words;
	return outcome(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			       SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
}

static int take_capabilities(const long *words)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct all[2];

	(void)words;
	memset(all, 0, sizeof(all));
	all[0].effective = all[0].permitted = 1U << CAP_SYS_ADMIN;
	return outcome(syscall(SYS_capset, &header, all));
}

static int load_program(const long *words)
{
	union bpf_attr attributes;

	(void)words;
	memset(&attributes, 0, sizeof(attributes));
	attributes.map_type = BPF_MAP_TYPE_ARRAY;
	attributes.key_size = attributes.value_size = 4;
	attributes.max_entries = 1;
	return outcome(syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes)));
}

static int count_events(const long *words)
{
	struct perf_event_attr attributes = { .type = PERF_TYPE_SOFTWARE,
					      .size = sizeof(attributes),
					      .config = PERF_COUNT_SW_CPU_CLOCK };

	(void)words;
	return outcome(syscall(SYS_perf_event_open, &attributes, 1, -1, -1, 0));
}

static int make_ring(const long *words)
{
	struct io_uring_params params;

	(void)words;
	memset(&params, 0, sizeof(params));
	return outcome(syscall(SYS_io_uring_setup, 1, &params));
}

/* To the time that it is. */
static int set_clock(const long *words)
{
	struct timespec now;

	(void)words;
	clock_gettime(CLOCK_REALTIME, &now);
	return outcome(syscall(SYS_clock_settime, CLOCK_REALTIME, &now));
}

static int adjust_clock(const long *words)
{
	struct timex adjustment = { .modes = ADJ_OFFSET | ADJ_STATUS, .status = 0 };

	(void)words;
	return outcome(syscall(SYS_adjtimex, &adjustment));
}

#ifdef __x86_64__
/* getpid(2), as a program of 32 bits does it: with numbers that a filter may know nothing of. */
static int call_as_32_bit(const long *words)
{
	long result = words[0];

	__asm__ volatile("int $0x80" : "+a"(result) : : "r8", "r9", "r10", "r11", "memory");
	return result < 0 ? (int)result : 0;
}
#endif

/* Types what the person at the terminal did not. */
static int type_for_person(const long *words)
{
	int terminal = open((const char *)words[0], O_RDWR);

	if (terminal < 0)
		return -errno;
	return outcome(ioctl(terminal, TIOCSTI, "x"));
}

const struct attempt on_kernel[] = {
	/* networks */
	{ "a socket of AF_INET", by_call, { SYS_socket, AF_INET, SOCK_STREAM } },
	{ "a raw socket", by_call, { SYS_socket, AF_INET, SOCK_RAW, 1 } },
	{ "a socket of AF_INET6", by_call, { SYS_socket, AF_INET6, SOCK_STREAM } },
	{ "a socket of AF_UNIX", by_call, { SYS_socket, AF_UNIX, SOCK_STREAM } },
	{ "a socket of AF_NETLINK", by_call, { SYS_socket, AF_NETLINK, SOCK_RAW } },
	{ "a socket of AF_PACKET", by_call, { SYS_socket, AF_PACKET, SOCK_RAW } },
	{ "a socket of AF_VSOCK", by_call, { SYS_socket, AF_VSOCK, SOCK_STREAM } },
	{ "a socket of AF_ALG", by_call, { SYS_socket, AF_ALG, SOCK_SEQPACKET } },
	{ "a socket of AF_BLUETOOTH", by_call, { SYS_socket, AF_BLUETOOTH, SOCK_RAW, 1 } },
	{ "a socket of AF_XDP", by_call, { SYS_socket, AF_XDP, SOCK_RAW } },
	{ "the machine's abstract sockets", reach_socket, { P("@hostile-test") } },
	{ "the journal's socket", reach_socket, { P("/run/systemd/journal/socket") } },
	/* namespaces */
	{ "a user namespace", by_call, { SYS_unshare, CLONE_NEWUSER } },
	{ "a mount namespace", by_call, { SYS_unshare, CLONE_NEWNS } },
	{ "a network namespace", by_call, { SYS_unshare, CLONE_NEWNET } },
	{ "a process namespace", by_call, { SYS_unshare, CLONE_NEWPID } },
	{ "a user namespace by clone", clone_by_flags, { CLONE_NEWUSER } },
	{ "a user namespace by clone3", clone_into, { CLONE_NEWUSER } },
	/* mounts: in the test's own namespace, where none stays */
	{ "mount a tmpfs", by_call, { SYS_mount, P("x"), P("/run"), P("tmpfs"), 0, 0 } },
	{ "mount /proc anew", by_call, { SYS_mount, P("x"), P("/run"), P("proc"), 0, 0 } },
	{ "show one directory in another's place",
	  by_call,
	  { SYS_mount, P("/usr"), P("/run"), 0, MS_BIND, 0 } },
	{ "make /usr writable", by_call, { SYS_mount, 0, P("/usr"), 0, MS_REMOUNT | MS_BIND, 0 } },
	{ "make mounts spread", by_call, { SYS_mount, 0, P("/"), 0, MS_SHARED | MS_REC, 0 } },
	{ "unmount /run", by_call, { SYS_umount2, P("/run"), MNT_DETACH } },
	{ "a filesystem by fsopen", by_call, { SYS_fsopen, P("tmpfs"), 0 } },
	{ "a filesystem by fspick", by_call, { SYS_fspick, AT_FDCWD, P("/"), 0 } },
	{ "a copy of the mounts by open_tree",
	  by_call,
	  { SYS_open_tree, AT_FDCWD, P("/"), 1 /* OPEN_TREE_CLONE */ } },
	{ "make mounts writable by mount_setattr",
	  by_call,
	  { SYS_mount_setattr, AT_FDCWD, P("/"), 0,
	    P(&(struct mount_attr){ .attr_clr = MOUNT_ATTR_RDONLY }), sizeof(struct mount_attr) } },
	{ "another root directory", by_call, { SYS_chroot, P("/usr") } },
	{ "another root mount", by_call, { SYS_pivot_root, P("/"), P("/") } },
	/* the machine */
	{ "load a module", by_call, { SYS_init_module, P("no module"), 9, P("") } },
	{ "load a module from a file", by_call, { SYS_finit_module, 0, P(""), 0 } },
	{ "unload a module", by_call, { SYS_delete_module, P("fuse"), O_NONBLOCK } },
	{ "start another kernel", by_call, { SYS_kexec_load, 0, 0, 0, 0 } },
	{ "reboot", by_call, { SYS_reboot, 0xfee1dead, 672274793, 0x89abcdef } },
	{ "swap to a file", by_call, { SYS_swapon, P("/usr/bin/true"), 0 } },
	{ "stop swapping", by_call, { SYS_swapoff, P("/usr/bin/true") } },
	{ "keep accounts", by_call, { SYS_acct, 0 } },
	{ "set a quota", by_call, { SYS_quotactl, 0x800001U << 8, 0, 0, 0 } },
	{ "name the machine", by_call, { SYS_sethostname, P("hostile"), 7 } },
	{ "name its domain", by_call, { SYS_setdomainname, P("hostile"), 7 } },
	{ "set the clock", set_clock, { 0 } },
	{ "adjust the clock", adjust_clock, { 0 } },
	{ "read the kernel's log", by_call, { SYS_syslog, 10 } },
	{ "hang the terminal up", by_call, { SYS_vhangup } },
	{ "watch the whole disk", by_call, { SYS_fanotify_init, 0, O_RDONLY } },
	{ "ports of the hardware", by_call, { SYS_iopl, 3 } },
	{ "a port of the hardware", by_call, { SYS_ioperm, 0x80, 1, 1 } },
	{ "type on the terminal", type_for_person, { P("/dev/pts/0") } },
	/* itself */
	{ "take a capability", take_capabilities, { 0 } },
	{ "drop a limit on its capabilities", by_call, { SYS_prctl, PR_CAPBSET_DROP, CAP_SYSLOG } },
	{ "another personality", by_call, { SYS_personality, READ_IMPLIES_EXEC } },
	{ "another layout of memory", by_call, { SYS_personality, ADDR_NO_RANDOMIZE } },
	{ "system calls of x32", by_call, { X32_BIT | SYS_getppid } },
#ifdef __x86_64__
	{ "system calls of 32 bits", call_as_32_bit, { 20 } },
	{ "segments of memory", by_call, { SYS_modify_ldt, 0, 0, 0 } },
#endif
	/* corners with a history */
	{ "programs in the kernel", load_program, { 0 } },
	{ "events of the processor", count_events, { 0 } },
	{ "io_uring", make_ring, { 0 } },
	{ "faults handled by itself", by_call, { SYS_userfaultfd, O_CLOEXEC } },
	{ "add a key", by_call, { SYS_add_key, P("user"), P("hostile"), P("x"), 1, -3 } },
	{ "a keyring", by_call, { SYS_keyctl, 1, 0 } },
	{ "ask for a key", by_call, { SYS_request_key, P("user"), P("hostile"), 0, 0 } },
	{ "compare two processes", by_call, { SYS_kcmp, 1, 1, 0, 0, 0 } },
	{ "memory of a certain place", by_call, { SYS_set_mempolicy, 0, 0, 0 } },
	{ "move another's memory", by_call, { SYS_migrate_pages, 1, 0, 0, 0 } },
	{ "answer its own system calls", listen_for_calls, { 0 } },
	{ 0 },
};
