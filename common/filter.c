/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filter.h"

#include "config.h"

#include <errno.h>

#if HAVE_LIBSECCOMP

#include "sharedlib.h"

#include <fcntl.h>
#include <seccomp.h>
#include <stdbool.h>

#define LIBSECCOMP_FUNCTIONS(FUNCTION)                                                             \
	FUNCTION(seccomp_init)                                                                     \
	FUNCTION(seccomp_attr_set)                                                                 \
	FUNCTION(seccomp_syscall_resolve_name)                                                     \
	FUNCTION(seccomp_rule_add_array)                                                           \
	FUNCTION(seccomp_load)                                                                     \
	FUNCTION(seccomp_notify_fd)

struct libseccomp {
	void *library;
	LIBSECCOMP_FUNCTIONS(SHAREDLIB_MEMBER)
};

/* What becomes of a call. */
enum fate {
	ASK,      /* the broker answers */
	ASK_PATH, /* the broker answers, if it is about a path: with AT_EMPTY_PATH it is not */
	MISSING,  /* it fails with ENOSYS: who finds it missing does it by the others */
	FEIGN,    /* it succeeds, and does nothing: there is nothing that it could do */
	IDENTITY, /* the broker, or for root the filter itself, tells the id of who mounts */
};

/*
 * By name, since not every architecture has each. clone3 takes its flags behind a pointer, where
 * no filter sees whether a namespace is wanted: systemd 247 lets it pass.
 */
static const struct {
	const char *name;
	enum fate fate;
	unsigned int flags; /* ASK_PATH: the argument with AT_* flags */
} calls[] = {
	{ "open", ASK, 0 },          { "openat", ASK, 0 },          { "stat", ASK, 0 },
	{ "lstat", ASK, 0 },         { "newfstatat", ASK_PATH, 3 }, { "statx", ASK_PATH, 2 },
	{ "access", ASK, 0 },        { "faccessat", ASK, 0 },       { "faccessat2", ASK_PATH, 3 },
	{ "readlink", ASK, 0 },      { "readlinkat", ASK, 0 },      { "mount", ASK, 0 },
	{ "umount2", ASK, 0 },       { "openat2", MISSING, 0 },     { "fsopen", MISSING, 0 },
	{ "open_tree", MISSING, 0 }, { "clone3", MISSING, 0 },      { "getuid", IDENTITY, 0 },
	{ "geteuid", IDENTITY, 0 },  { "getgid", IDENTITY, 0 },     { "getegid", IDENTITY, 0 },
	{ "setuid", FEIGN, 0 },      { "setgid", FEIGN, 0 },        { "setreuid", FEIGN, 0 },
	{ "setregid", FEIGN, 0 },    { "setresuid", FEIGN, 0 },     { "setresgid", FEIGN, 0 },
	{ "setfsuid", FEIGN, 0 },    { "setfsgid", FEIGN, 0 },      { "setgroups", FEIGN, 0 },
	{ "capset", FEIGN, 0 },
};

/* What the filter does about FATE, for somebody who is to believe to be USER; SCMP_ACT_ALLOW:
 * nothing. */
static uint32_t action_for(enum fate fate, long user)
{
	switch (fate) {
	case ASK:
	case ASK_PATH:
		return SCMP_ACT_NOTIFY;
	case MISSING:
		return SCMP_ACT_ERRNO(ENOSYS);
	case FEIGN:
		return user < 0 ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(0);
	case IDENTITY:
		/* An "error" of 0 is root's id, told without asking anybody: some servers want it
		 * for each file that they show. */
		return user < 0 ? SCMP_ACT_ALLOW
				: (user == 0 ? SCMP_ACT_ERRNO(0) : SCMP_ACT_NOTIFY);
	}
	return SCMP_ACT_ALLOW;
}

static int add_rules(const struct libseccomp *lib, scmp_filter_ctx context, long user)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct scmp_arg_cmp by_path = { calls[i].flags, SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH,
						0 };
		uint32_t action = action_for(calls[i].fate, user);
		int number = lib->seccomp_syscall_resolve_name(calls[i].name);
		int error;

		if (number < 0 ||
		    action == SCMP_ACT_ALLOW) /* not on this architecture, or as it is */
			continue;
		error = lib->seccomp_rule_add_array(context, action, number,
						    calls[i].fate == ASK_PATH ? 1 : 0, &by_path);
		if (error < 0)
			return error;
	}
	return 0;
}

int filter_install(long user)
{
	/* Neither unloaded nor freed: exec follows. */
	struct libseccomp loaded = { 0 }, *lib = &loaded;
	scmp_filter_ctx context;
	int error = sharedlib_load(&lib->library, "libseccomp.so.2");

	if (error < 0)
		return error;
	LIBSECCOMP_FUNCTIONS(SHAREDLIB_LOOK_UP)
	context = lib->seccomp_init(SCMP_ACT_ALLOW);
	if (!context)
		return -ENOMEM;
	error = add_rules(lib, context, user);
	/* A server that a unit's filter has already made sure of may lack the right to set it
	 * again. */
	if (error == 0)
		error = lib->seccomp_load(context);
	return error < 0 ? error : lib->seccomp_notify_fd(context);
}

#else

int filter_install(long user)
{
	(void)user;
	return -ENOSYS;
}

#endif
