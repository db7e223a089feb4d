/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system calls of an unmodified server that the broker emulates, as one table in
 * emulated_syscalls.c: number, filter rule, and the function that answers. A seccomp filter
 * notifies the broker of them (seccomp_unotify(2), Linux 5.9 for file descriptors). All other calls
 * go to the kernel.
 */
#pragma once

#include "broker/broker.h"

enum emulation {
	NOTIFY,         /* the broker answers */
	NOTIFY_IF_PATH, /* the broker answers unless AT_EMPTY_PATH is set */
	FAIL_ENOSYS,    /* the call fails: callers fall back to an older call */
	FAKE_SUCCESS,   /* the call does nothing and returns 0 */
	EMULATE_ID,     /* the call returns the emulated user ID */
};

struct emulated_syscall {
	int number; /* SYS_* */
	enum emulation emulation;
	int flags_arg;     /* NOTIFY_IF_PATH: index of the argument with AT_* flags */
	int directory_arg; /* index of the directory file descriptor, or -1: the path has none */
	int path_arg;      /* index of the path, or -1: the call has none */
	int detail_arg;    /* index of the argument that ANSWER gets as DETAIL */
	/* Answer NOTIFICATION. PATH is absolute and normalized, see path_argument.h. */
	void (*answer)(struct broker *broker, const struct notification *notification,
		       const char *path, uint64_t detail);
};

/* Return the row of the system call NUMBER, or NULL. */
const struct emulated_syscall *emulated_syscall_find(int number);

/*
 * Install the filter on this process and its children. The process must have no_new_privs.
 *
 * UID: the user and group ID that getuid(2) and related calls return, so that the server shows
 * files as owned by the caller; setuid(2) and related calls succeed without effect. -1: do not
 * emulate IDs.
 * Return the file descriptor for notifications, owned by the caller; -ENOSYS if the kernel has no
 * notifications; or another negative errno. Pass the file descriptor to the process that answers:
 * until then, calls of the table block this process.
 */
int emulated_syscalls_install_filter(long uid);
