/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mount/create_mount.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/fdpath.h"
#include "base/new_mount_api.h"
#include "base/options.h"
#include "base/privs.h"
#include "mount/mountinfo.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Add the options that only the helper may set. */
static int add_private_options(const struct mount_spec *spec, char **list)
{
	char text[128];

	snprintf(text, sizeof(text), "fd=%d,rootmode=%o,user_id=%u,group_id=%u", spec->fusedev,
		 spec->rootmode & S_IFMT, spec->user, spec->group);
	return options_add_unescaped(list, text);
}

static int set_parameter(int context, unsigned int command, const char *key, const char *value)
{
	return new_mount_api_fsconfig(context, command, key, value, 0) < 0 ? -errno : 0;
}

static int set_option(int context, const char *option)
{
	const char *value = option_value(option);
	char key[64];

	if (!value)
		return set_parameter(context, FSCONFIG_SET_FLAG, option, NULL);
	if ((size_t)(value - option) > sizeof(key))
		return -EINVAL;
	snprintf(key, sizeof(key), "%.*s", (int)(value - option - 1), option);
	return set_parameter(context, FSCONFIG_SET_STRING, key, value);
}

static int set_options(int context, const char *list)
{
	while (*list) {
		_cleanup_free_ char *option = strndup(list, strcspn(list, ","));
		int error = option ? set_option(context, option) : -ENOMEM;

		if (error < 0)
			return error;
		list += strlen(option);
		list += *list == ',';
	}
	return 0;
}

/* Set the flags of the superblock, by their names for fsconfig(2). */
static int set_flags(int context, unsigned long flags)
{
	static const struct {
		unsigned long flag;
		const char *name;
	} names[] = {
		{ MS_RDONLY, "ro" },
		{ MS_SYNCHRONOUS, "sync" },
		{ MS_DIRSYNC, "dirsync" },
		{ MS_LAZYTIME, "lazytime" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int error = 0;

		if (flags & names[i].flag)
			error = set_parameter(context, FSCONFIG_SET_FLAG, names[i].name, NULL);
		if (error < 0)
			return error;
	}
	return 0;
}

/* Return the attributes of the mount. Without a flag for access times the kernel uses relatime. */
static unsigned int mount_attributes(unsigned long flags)
{
	static const struct {
		unsigned long flag;
		unsigned int attribute;
	} names[] = {
		{ MS_RDONLY, MOUNT_ATTR_RDONLY },
		{ MS_NOSUID, MOUNT_ATTR_NOSUID },
		{ MS_NODEV, MOUNT_ATTR_NODEV },
		{ MS_NOEXEC, MOUNT_ATTR_NOEXEC },
		{ MS_NODIRATIME, MOUNT_ATTR_NODIRATIME },
		{ MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW },
	};
	unsigned int attributes = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (flags & names[i].flag)
			attributes |= names[i].attribute;
	/* The three settings of access times exclude each other; the stricter one is used. */
	if (flags & MS_STRICTATIME)
		attributes |= MOUNT_ATTR_STRICTATIME;
	else if (flags & MS_NOATIME)
		attributes |= MOUNT_ATTR_NOATIME;
	return attributes;
}

/* Read the first error message of the context: "e fuse: Bad value for 'max_read'". */
static void read_message(int context, char *message, size_t size)
{
	ssize_t length = read(context, message, size - 1);

	if (length < 0)
		length = 0;
	message[length] = '\0';
	message[strcspn(message, "\n")] = '\0';
	if (strlen(message) > 2 && message[1] == ' ')
		memmove(message, message + 2, strlen(message) - 1);
}

static int build_superblock(int context, const struct mount_spec *spec)
{
	_cleanup_free_ char *private = NULL;
	int error = add_private_options(spec, &private);

	if (error >= 0)
		error = set_parameter(context, FSCONFIG_SET_STRING, "source", spec->source);
	if (error >= 0)
		error = set_parameter(context, FSCONFIG_SET_STRING, "subtype", spec->subtype);
	if (error >= 0)
		error = set_flags(context, spec->flags);
	if (error >= 0 && spec->options)
		error = set_options(context, spec->options);
	if (error >= 0)
		error = set_options(context, private);
	if (error >= 0)
		error = set_parameter(context, FSCONFIG_CMD_CREATE, NULL, NULL);
	return error;
}

static int create_detached(const struct mount_spec *spec, struct fuse_mount *mount, char *message,
			   size_t size)
{
	_cleanup_close_ int context = -1;
	int error;

	privs_raise();
	context = new_mount_api_fsopen(spec->fuseblk ? "fuseblk" : "fuse");
	if (context < 0) {
		error = -errno;
	} else {
		error = build_superblock(context, spec);
		if (error >= 0) {
			mount->fd = new_mount_api_fsmount(context, mount_attributes(spec->flags));
			error = mount->fd < 0 ? -errno : 0;
		}
	}
	privs_lower();
	if (error < 0 && context >= 0)
		read_message(context, message, size);
	return error;
}

/* Return true if ROOT (O_PATH) is on a FUSE mount of USER. */
static bool is_mount_of(int root, uid_t user)
{
	_cleanup_mountinfo_ struct mountinfo mount = { 0 };

	return mountinfo_find_by_fd(root, &mount) == 0 && mountinfo_belongs_to(&mount, user);
}

/*
 * Open the root of the new mount by the path of the mountpoint: the file descriptor of the
 * mountpoint still refers to the covered one. It is opened once, so that discard_mount() unmounts
 * this mount even if the path then leads elsewhere.
 */
static int open_root(const char *path, uid_t user)
{
	_cleanup_close_ int root = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return root >= 0 && is_mount_of(root, user) ? take_fd(&root) : -1;
}

static int create_attached(const struct mount_spec *spec, struct fuse_mount *mount)
{
	_cleanup_free_ char *type = NULL, *data = NULL, *target = NULL;
	struct fd_path path = fd_path(spec->mountpoint);
	int error;

	if (spec->options && options_add_unescaped(&data, spec->options) < 0)
		return -ENOMEM;
	if (add_private_options(spec, &data) < 0 ||
	    asprintf(&type, "%s.%s", spec->fuseblk ? "fuseblk" : "fuse", spec->subtype) < 0)
		return -ENOMEM;
	target = realpath(path.text, NULL);
	if (!target)
		return -errno;
	privs_raise();
	error = new_mount_api_mount(spec->source, path.text, type, spec->flags, data) < 0 ? -errno
											  : 0;
	privs_lower();
	if (error < 0)
		return error;
	mount->root = open_root(target, spec->user);
	return mount->root < 0 ? -ESTALE : 0;
}

/*
 * Return true if the kernel has all calls of the new API. This cannot be found out by trying: a
 * /dev/fuse can be used for one superblock only.
 */
static bool has_new_api(void)
{
	return !(new_mount_api_fsopen("") < 0 && errno == ENOSYS) &&
	       !(new_mount_api_fsconfig(-1, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 &&
		 errno == ENOSYS) &&
	       !(new_mount_api_fsmount(-1, 0) < 0 && errno == ENOSYS) &&
	       !(new_mount_api_move_mount(-1, -1) < 0 && errno == ENOSYS);
}

int create_mount(const struct mount_spec *spec, struct fuse_mount *mount, char *message,
		 size_t size)
{
	struct mount_spec truncated = *spec;
	char source[FUSE_MOUNT_MAX_SOURCE + 1];

	message[0] = '\0';
	*mount = FUSE_MOUNT_NONE;
	snprintf(source, sizeof(source), "%s", spec->source);
	if (!spec->fuseblk)
		truncated.source = source;
	return has_new_api() ? create_detached(&truncated, mount, message, size)
			     : create_attached(&truncated, mount);
}
