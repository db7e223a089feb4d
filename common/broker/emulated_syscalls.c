/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/emulated_syscalls.h"

#include "base/array.h"
#include "base/new_syscalls.h"
#include "base/syscall_filter.h"
#include "broker/answer_file.h"
#include "broker/answer_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>

/* Answer getuid(2), getgid(2) and related calls: all IDs are the emulated user ID. */
static void answer_id(struct broker *broker, const struct notification *notification,
		      const char *path, uint64_t detail)
{
	(void)path;
	(void)detail;
	notification_answer(notification, broker->emulated_uid);
}

/*
 * clone3 fails because a filter cannot read its flags, which are in memory: with systemd 247 it
 * would create namespaces in spite of RestrictNamespaces=.
 */
/* clang-format off */
static const struct emulated_syscall emulated_syscalls[] = {
	/*                                flags dir path detail */
#ifdef SYS_open /* only on older architectures */
	{ SYS_open,       NOTIFY,         0, -1, 0, 1, answer_open },
	{ SYS_stat,       NOTIFY,         0, -1, 0, 1, answer_stat },
	{ SYS_lstat,      NOTIFY,         0, -1, 0, 1, answer_stat },
	{ SYS_access,     NOTIFY,         0, -1, 0, 1, answer_access },
	{ SYS_readlink,   NOTIFY,         0, -1, 0, 1, answer_readlink },
#endif
	{ SYS_openat,     NOTIFY,         0,  0, 1, 2, answer_open },
	{ SYS_newfstatat, NOTIFY_IF_PATH, 3,  0, 1, 2, answer_stat },
	{ SYS_statx,      NOTIFY_IF_PATH, 2,  0, 1, 4, answer_statx },
	{ SYS_faccessat,  NOTIFY,         0,  0, 1, 2, answer_access },
	{ SYS_faccessat2, NOTIFY_IF_PATH, 3,  0, 1, 2, answer_access },
	{ SYS_readlinkat, NOTIFY,         0,  0, 1, 2, answer_readlink },
	{ SYS_mount,      NOTIFY,         0, -1, 1, 3, answer_mount },
	{ SYS_umount2,    NOTIFY,         0, -1, 0, 1, answer_unmount },
	{ SYS_getuid,     EMULATE_ID,     0, -1, -1, 0, answer_id },
	{ SYS_geteuid,    EMULATE_ID,     0, -1, -1, 0, answer_id },
	{ SYS_getgid,     EMULATE_ID,     0, -1, -1, 0, answer_id },
	{ SYS_getegid,    EMULATE_ID,     0, -1, -1, 0, answer_id },
	{ SYS_setuid,     FAKE_SUCCESS,   0, -1, -1, 0, NULL },
	{ SYS_setgid,     FAKE_SUCCESS,   0, -1, -1, 0, NULL },
	{ SYS_setreuid,   FAKE_SUCCESS,   0, -1, -1, 0, NULL },
	{ SYS_setregid,   FAKE_SUCCESS,   0, -1, -1, 0, NULL },
	{ SYS_setresuid,  FAKE_SUCCESS,   0, -1, -1, 0, NULL },
	{ SYS_setresgid,  FAKE_SUCCESS,   0, -1, -1, 0, NULL },
	{ SYS_setfsuid,   FAKE_SUCCESS,   0, -1, -1, 0, NULL },
	{ SYS_setfsgid,   FAKE_SUCCESS,   0, -1, -1, 0, NULL },
	{ SYS_setgroups,  FAKE_SUCCESS,   0, -1, -1, 0, NULL },
	{ SYS_capset,     FAKE_SUCCESS,   0, -1, -1, 0, NULL },
	{ SYS_openat2,    FAIL_ENOSYS,    0, -1, -1, 0, NULL },
	{ SYS_fsopen,     FAIL_ENOSYS,    0, -1, -1, 0, NULL },
	{ SYS_open_tree,  FAIL_ENOSYS,    0, -1, -1, 0, NULL },
#ifdef SYS_clone3 /* Linux 5.3 */
	{ SYS_clone3,     FAIL_ENOSYS,    0, -1, -1, 0, NULL },
#endif
};
/* clang-format on */

const struct emulated_syscall *emulated_syscall_find(int number)
{
	for (size_t i = 0; i < ARRAY_SIZE(emulated_syscalls); i++)
		if (emulated_syscalls[i].number == number && emulated_syscalls[i].answer)
			return &emulated_syscalls[i];
	return NULL;
}

/* With the error 0 the call is not executed and returns 0. */
#define RETURN_ERROR(error) (SECCOMP_RET_ERRNO | (error))

static uint32_t filter_action(enum emulation emulation, long uid)
{
	switch (emulation) {
	case NOTIFY:
	case NOTIFY_IF_PATH:
		return SECCOMP_RET_USER_NOTIF;
	case FAIL_ENOSYS:
		return RETURN_ERROR(ENOSYS);
	case FAKE_SUCCESS:
		return uid < 0 ? SECCOMP_RET_ALLOW : RETURN_ERROR(0);
	case EMULATE_ID:
		/* The filter itself can return 0, root's ID. That is faster for servers that call
		 * getuid(2) for each file that they show. */
		if (uid == 0)
			return RETURN_ERROR(0);
		return uid < 0 ? SECCOMP_RET_ALLOW : SECCOMP_RET_USER_NOTIF;
	}
	return SECCOMP_RET_ALLOW;
}

int emulated_syscalls_install_filter(long uid)
{
	struct syscall_filter_rule rules[ARRAY_SIZE(emulated_syscalls)];

	for (size_t i = 0; i < ARRAY_SIZE(emulated_syscalls); i++) {
		const struct emulated_syscall *call = &emulated_syscalls[i];

		rules[i] = (struct syscall_filter_rule){
			.number = call->number,
			.action = filter_action(call->emulation, uid),
			.argument = (unsigned int)call->flags_arg,
			.mask = call->emulation == NOTIFY_IF_PATH ? AT_EMPTY_PATH : 0,
		};
	}
	return syscall_filter_install(rules, ARRAY_SIZE(rules), SECCOMP_RET_ALLOW,
				      SECCOMP_FILTER_FLAG_NEW_LISTENER);
}
