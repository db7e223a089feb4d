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

/* By name, since not every architecture has each. */
static const struct {
	const char *name;
	int error; /* what it fails with, or 0: the broker is asked */
	unsigned int
		flags; /* which argument holds AT_* flags, or 0: with AT_EMPTY_PATH it is about */
		       /* a descriptor, and the kernel's business */
} calls[] = {
	{ "open", 0, 0 },
	{ "openat", 0, 0 },
	{ "stat", 0, 0 },
	{ "lstat", 0, 0 },
	{ "newfstatat", 0, 3 },
	{ "statx", 0, 2 },
	{ "access", 0, 0 },
	{ "faccessat", 0, 0 },
	{ "faccessat2", 0, 3 },
	{ "readlink", 0, 0 },
	{ "readlinkat", 0, 0 },
	{ "mount", 0, 0 },
	{ "umount2", 0, 0 },
	/* Who finds these missing does it by the calls above. */
	{ "openat2", ENOSYS, 0 },
	{ "fsopen", ENOSYS, 0 },
	{ "open_tree", ENOSYS, 0 },
};

static int add_rules(const struct libseccomp *lib, scmp_filter_ctx context)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct scmp_arg_cmp by_path = { calls[i].flags, SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH,
						0 };
		uint32_t action = calls[i].error ? SCMP_ACT_ERRNO((unsigned int)calls[i].error)
						 : SCMP_ACT_NOTIFY;
		int number = lib->seccomp_syscall_resolve_name(calls[i].name);
		int error;

		if (number < 0) /* not on this architecture */
			continue;
		error = lib->seccomp_rule_add_array(context, action, number, calls[i].flags ? 1 : 0,
						    &by_path);
		if (error < 0)
			return error;
	}
	return 0;
}

int filter_install(void)
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
	error = add_rules(lib, context);
	/* A server that a unit's filter has already made sure of may lack the right to set it
	 * again. */
	if (error == 0)
		error = lib->seccomp_load(context);
	return error < 0 ? error : lib->seccomp_notify_fd(context);
}

#else

int filter_install(void)
{
	return -ENOSYS;
}

#endif
