/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mount/utab_options.h"

#include "base/account.h"
#include "base/cleanup.h"
#include "base/fdpath.h"
#include "base/options.h"
#include "base/privs.h"
#include "mount/create_mount.h"
#include "mount/mountinfo.h"
#include "mount/utab.h"

#include <limits.h>
#include <string.h>

/* Is there where systemd manages mounts, see sd_booted(3). */
#define SYSTEMD_RUNS "/run/systemd/system"
/*
 * systemd's word for a mount that needs more than the kernel. When the machine shuts down, such a
 * mount ends before the service that it lives by. It looks for the word in user space's table.
 */
#define DEPENDENCE "_netdev"

/* umount(8) leaves it to umount.fuse whether a user may unmount, see mount(8). */
#define USERS_HELPER "uhelper=fuse"

/* A user's part of a table that is in memory, and that everybody reads. */
#define LONGEST_OPTIONS 4096

static int add_user(char **list)
{
	const struct passwd *user = account_by_id(getuid());
	_cleanup_free_ char *option = NULL;

	if (!user)
		return 0;
	if (asprintf(&option, "user=%s", user->pw_name) < 0) {
		option = NULL;
		return -ENOMEM;
	}
	return options_add(list, option);
}

static int collect_options(const struct new_mount *record, char **list)
{
	int error = 0;

	if (record->by_user && record->options && strlen(record->options) > LONGEST_OPTIONS)
		return -E2BIG;
	if (record->options)
		error = options_add_unescaped(list, record->options);
	if (error == 0 && record->by_user)
		error = add_user(list);
	if (error == 0 && record->by_user)
		error = options_add_unescaped(list, USERS_HELPER);
	if (error == 0 && access(SYSTEMD_RUNS, F_OK) == 0)
		error = options_add_unescaped(list, DEPENDENCE);
	return error;
}

/*
 * In another namespace, or on a mount that was taken away, a name is not one of ours, but may well
 * be spelled like one.
 */
static int find_target(int mountpoint, char **targetp)
{
	_cleanup_mountinfo_ struct mountinfo around = { 0 };
	char target[PATH_MAX];
	int error = fd_current_path(mountpoint, target);

	/* In this order: what is there afterwards was there before. */
	if (error == 0)
		error = mountinfo_find_by_fd(mountpoint, &around);
	if (error < 0)
		return error;
	*targetp = strdup(target);
	return *targetp ? 0 : -ENOMEM;
}

int utab_add_mount(const struct new_mount *record, char **targetp)
{
	_cleanup_free_ char *options = NULL;
	/* As the kernel shows it: libmount takes an entry for a mount's only where both agree. */
	char source[FUSE_MOUNT_MAX_SOURCE + 1];
	struct utab_entry entry = { .source = source, .type = record->type };
	int error;

	snprintf(source, sizeof(source), "%s", record->source);
	*targetp = NULL;
	error = find_target(record->mountpoint, targetp);
	if (error == 0)
		error = collect_options(record, &options);
	if (error < 0)
		return error;
	entry.target = *targetp;
	entry.options = options;
	if (record->server > 0)
		process_identify(record->server, &entry.server);
	return utab_add(&entry);
}

void utab_remove_mount(const char *target)
{
	_cleanup_free_ char *user = NULL;

	if (!privs_caller_is_root() && (add_user(&user) < 0 || !user))
		return;
	utab_remove(target, user);
}
