/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sandbox/landlock.h"

#include "base/cleanup.h"
#include "base/new_syscalls.h"

#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

/* From linux/landlock.h, for headers that are older than the running kernel. */
#define LANDLOCK_CREATE_RULESET_VERSION 1U
#define LANDLOCK_RULE_PATH_BENEATH      1
#define LANDLOCK_ACCESS_FS_WRITE_FILE   (1ULL << 1)
#define LANDLOCK_ACCESS_FS_REMOVE_DIR   (1ULL << 4)
#define LANDLOCK_ACCESS_FS_REMOVE_FILE  (1ULL << 5)
#define LANDLOCK_ACCESS_FS_MAKE_ANY     (0x7fULL << 6) /* files of all types */
#define LANDLOCK_ACCESS_FS_REFER        (1ULL << 13)
#define LANDLOCK_ACCESS_FS_TRUNCATE     (1ULL << 14)
#define LANDLOCK_SCOPE_SIGNAL           (1ULL << 1)

#define DENIED_ACCESS                                                                              \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                           \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_ANY)

/* struct landlock_ruleset_attr of Linux 6.12. An older kernel accepts it if the members that it
 * does not know are 0. */
struct ruleset {
	uint64_t files, network, scopes;
};

/* struct landlock_path_beneath_attr */
struct beneath {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

/* Return what VERSION of the interface supports, see landlock(7). */
static struct ruleset ruleset_for(long version)
{
	struct ruleset ruleset = { .files = DENIED_ACCESS };

	if (version >= 2)
		ruleset.files |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= 3)
		ruleset.files |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (version >= 6)
		ruleset.scopes = LANDLOCK_SCOPE_SIGNAL;
	return ruleset;
}

int landlock_restrict(void)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset ruleset = ruleset_for(version);
	struct beneath devices = { .allowed_access = LANDLOCK_ACCESS_FS_WRITE_FILE };
	_cleanup_close_ int rules = -1, directory = -1;

	if (version < 0)
		return -errno;
	rules = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
	directory = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rules < 0)
		return -errno;
	devices.parent_fd = directory;
	if (directory >= 0 &&
	    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &devices, 0) < 0)
		return -errno;
	return syscall(SYS_landlock_restrict_self, rules, 0) < 0 ? -errno : 0;
}
