/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mount/utab_options.h"

#include "base/account.h"
#include "base/cleanup.h"
#include "base/fdpath.h"
#include "base/options.h"
#include "base/path.h"
#include "base/privs.h"
#include "mount/create_mount.h"
#include "mount/mountinfo.h"
#include "mount/utab.h"

#include <limits.h>
#include <string.h>

/* With this option in utab, systemd unmounts at shutdown before it stops the service. */
#define NETDEV_OPTION "_netdev"

/*
 * With this option umount(8) calls umount.fuse, which checks the permission of a user; see
 * mount(8).
 */
#define UMOUNT_HELPER_OPTION "uhelper=fuse"

/* The maximum length of a user's options: the table is in memory, and every user reads it. */
#define MAX_USER_OPTIONS 4096

static int add_user_option(char **list)
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

static int collect_options(const struct new_mount *mount, char **list)
{
	int error = 0;

	if (mount->is_user_mount && mount->options && strlen(mount->options) > MAX_USER_OPTIONS)
		return -E2BIG;
	if (mount->options)
		error = options_add_unescaped(list, mount->options);
	if (error == 0 && mount->is_user_mount)
		error = add_user_option(list);
	if (error == 0 && mount->is_user_mount)
		error = options_add_unescaped(list, UMOUNT_HELPER_OPTION);
	if (error == 0 && access(SYSTEMD_DIR, F_OK) == 0)
		error = options_add_unescaped(list, NETDEV_OPTION);
	return error;
}

/*
 * Store the current path of MOUNTPOINT. A path in another mount namespace, or on a detached mount,
 * can look like one of this namespace: such a mountpoint is refused.
 */
static int find_target(int mountpoint, char **targetp)
{
	_cleanup_mountinfo_ struct mountinfo parent = { 0 };
	char target[PATH_MAX];
	int error = fd_current_path(mountpoint, target);

	/*
	 * Check after reading the path: a mount that is found now was there when the path was read.
	 */
	if (error == 0)
		error = mountinfo_find_by_fd(mountpoint, &parent);
	if (error < 0)
		return error;
	*targetp = strdup(target);
	return *targetp ? 0 : -ENOMEM;
}

int utab_add_mount(const struct new_mount *mount, char **targetp)
{
	_cleanup_free_ char *options = NULL;
	/* Truncated as in the kernel: libmount ignores an entry whose source differs. */
	char source[FUSE_MOUNT_MAX_SOURCE + 1];
	struct utab_entry entry = { .source = source, .type = mount->type };
	int error;

	snprintf(source, sizeof(source), "%s", mount->source);
	*targetp = NULL;
	error = find_target(mount->mountpoint, targetp);
	if (error == 0)
		error = collect_options(mount, &options);
	if (error < 0)
		return error;
	entry.target = *targetp;
	entry.options = options;
	if (mount->server > 0)
		process_identify(mount->server, &entry.server);
	return utab_add(&entry);
}

void utab_remove_mount(const char *target)
{
	_cleanup_free_ char *user = NULL;

	if (!privs_caller_is_root() && (add_user_option(&user) < 0 || !user))
		return;
	utab_remove(target, user);
}
