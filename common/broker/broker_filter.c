/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/broker_filter.h"

#include "base/array.h"
#include "base/new_syscalls.h"
#include "base/syscall_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>

/* What becomes of a call. */
enum fate {
	ASK,      /* the broker answers */
	ASK_PATH, /* the broker answers, if it is about a path: with AT_EMPTY_PATH it is not */
	MISSING,  /* it fails with ENOSYS: who finds it missing does it by the others */
	FEIGN,    /* it succeeds, and does nothing: there is nothing that it could do */
	IDENTITY, /* the broker, or for root the filter itself, tells the id of who mounts */
};

/*
 * clone3 takes its flags behind a pointer, where no filter sees whether a namespace is wanted:
 * systemd 247 lets it pass.
 */
/* clang-format off */
static const struct {
	int number;
	enum fate fate;
	unsigned int flags; /* ASK_PATH: the argument with AT_* flags */
} calls[] = {
#ifdef SYS_open /* architectures that are older than the *at calls */
	{ SYS_open,       ASK,      0 },
	{ SYS_stat,       ASK,      0 },
	{ SYS_lstat,      ASK,      0 },
	{ SYS_access,     ASK,      0 },
	{ SYS_readlink,   ASK,      0 },
#endif
	{ SYS_openat,     ASK,      0 },
	{ SYS_newfstatat, ASK_PATH, 3 },
	{ SYS_statx,      ASK_PATH, 2 },
	{ SYS_faccessat,  ASK,      0 },
	{ SYS_faccessat2, ASK_PATH, 3 },
	{ SYS_readlinkat, ASK,      0 },
	{ SYS_mount,      ASK,      0 },
	{ SYS_umount2,    ASK,      0 },
	{ SYS_openat2,    MISSING,  0 },
#ifdef SYS_clone3 /* Linux 5.3 */
	{ SYS_clone3,     MISSING,  0 },
#endif
	{ SYS_fsopen,     MISSING,  0 },
	{ SYS_open_tree,  MISSING,  0 },
	{ SYS_getuid,     IDENTITY, 0 },
	{ SYS_geteuid,    IDENTITY, 0 },
	{ SYS_getgid,     IDENTITY, 0 },
	{ SYS_getegid,    IDENTITY, 0 },
	{ SYS_setuid,     FEIGN,    0 },
	{ SYS_setgid,     FEIGN,    0 },
	{ SYS_setreuid,   FEIGN,    0 },
	{ SYS_setregid,   FEIGN,    0 },
	{ SYS_setresuid,  FEIGN,    0 },
	{ SYS_setresgid,  FEIGN,    0 },
	{ SYS_setfsuid,   FEIGN,    0 },
	{ SYS_setfsgid,   FEIGN,    0 },
	{ SYS_setgroups,  FEIGN,    0 },
	{ SYS_capset,     FEIGN,    0 },
};
/* clang-format on */

#define CALLS ARRAY_SIZE(calls)

/* An "error" of 0: the call succeeds without being done. */
#define FAIL_WITH(error) (SECCOMP_RET_ERRNO | (error))

/* What the filter does about FATE, for somebody who is to believe to be USER. */
static uint32_t action_for(enum fate fate, long user)
{
	switch (fate) {
	case ASK:
	case ASK_PATH:
		return SECCOMP_RET_USER_NOTIF;
	case MISSING:
		return FAIL_WITH(ENOSYS);
	case FEIGN:
		return user < 0 ? SECCOMP_RET_ALLOW : FAIL_WITH(0);
	case IDENTITY:
		/* Root's id is 0, and told without asking anybody: some servers want it for each
		 * file that they show. */
		if (user == 0)
			return FAIL_WITH(0);
		return user < 0 ? SECCOMP_RET_ALLOW : SECCOMP_RET_USER_NOTIF;
	}
	return SECCOMP_RET_ALLOW;
}

int broker_filter_install(long user)
{
	struct syscall_filter_rule rules[CALLS];

	for (size_t i = 0; i < CALLS; i++)
		rules[i] = (struct syscall_filter_rule){
			.number = calls[i].number,
			.action = action_for(calls[i].fate, user),
			.argument = calls[i].flags,
			.mask = calls[i].fate == ASK_PATH ? AT_EMPTY_PATH : 0,
		};
	return syscall_filter_install(rules, CALLS, SECCOMP_RET_ALLOW,
				      SECCOMP_FILTER_FLAG_NEW_LISTENER);
}
