/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mount/fuse_mount.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/fdpath.h"
#include "base/new_mount_api.h"
#include "base/options.h"
#include "base/privs.h"
#include "base/statx.h"
#include "mount/mountinfo.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

/* Where the kernel lists each FUSE connection by its device number, see fuse(4). */
#define CONNECTIONS "/sys/fs/fuse/connections"

/* What the helper itself says to the kernel, and no service. */
static int add_private_options(const struct fuse_mount_request *request, char **list)
{
	char text[128];

	snprintf(text, sizeof(text), "fd=%d,rootmode=%o,user_id=%u,group_id=%u", request->fusedev,
		 request->rootmode & S_IFMT, request->user, request->group);
	return options_add_plain(list, text);
}

static int configure(int context, unsigned int command, const char *key, const char *value)
{
	return new_mount_api_fsconfig(context, command, key, value, 0) < 0 ? -errno : 0;
}

static int configure_option(int context, const char *option)
{
	const char *value = option_value(option);
	char key[64];

	if (!value)
		return configure(context, FSCONFIG_SET_FLAG, option, NULL);
	if ((size_t)(value - option) > sizeof(key))
		return -EINVAL;
	snprintf(key, sizeof(key), "%.*s", (int)(value - option - 1), option);
	return configure(context, FSCONFIG_SET_STRING, key, value);
}

static int configure_list(int context, const char *list)
{
	while (*list) {
		_cleanup_free_ char *option = strndup(list, strcspn(list, ","));
		int error = option ? configure_option(context, option) : -ENOMEM;

		if (error < 0)
			return error;
		list += strlen(option);
		list += *list == ',';
	}
	return 0;
}

/* Flags of the superblock, by the names under which fsconfig(2) knows them. */
static int configure_flags(int context, unsigned long flags)
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
			error = configure(context, FSCONFIG_SET_FLAG, names[i].name, NULL);
		if (error < 0)
			return error;
	}
	return 0;
}

/* Flags of the mount. Without a word on access times the kernel's default is relatime. */
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
	/* The three settings of access times exclude each other; the stricter one is taken. */
	if (flags & MS_STRICTATIME)
		attributes |= MOUNT_ATTR_STRICTATIME;
	else if (flags & MS_NOATIME)
		attributes |= MOUNT_ATTR_NOATIME;
	return attributes;
}

/* The first error that the kernel left in the context: "e fuse: Bad value for 'max_read'". */
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

static int build_superblock(int context, const struct fuse_mount_request *request)
{
	_cleanup_free_ char *private = NULL;
	int error = add_private_options(request, &private);

	if (error >= 0)
		error = configure(context, FSCONFIG_SET_STRING, "source", request->source);
	if (error >= 0)
		error = configure(context, FSCONFIG_SET_STRING, "subtype", request->subtype);
	if (error >= 0)
		error = configure_flags(context, request->flags);
	if (error >= 0 && request->options)
		error = configure_list(context, request->options);
	if (error >= 0)
		error = configure_list(context, private);
	if (error >= 0)
		error = configure(context, FSCONFIG_CMD_CREATE, NULL, NULL);
	return error;
}

static int create_detached(const struct fuse_mount_request *request, struct fuse_mount *mount,
			   char *message, size_t size)
{
	_cleanup_close_ int context = -1;
	int error;

	privs_raise();
	context = new_mount_api_fsopen(request->fuseblk ? "fuseblk" : "fuse");
	if (context < 0) {
		error = -errno;
	} else {
		error = build_superblock(context, request);
		if (error >= 0) {
			mount->fd =
				new_mount_api_fsmount(context, mount_attributes(request->flags));
			error = mount->fd < 0 ? -errno : 0;
		}
	}
	privs_lower();
	if (error < 0 && context >= 0)
		read_message(context, message, size);
	return error;
}

/* Whether ROOT (O_PATH) is on a FUSE mount made for USER. */
static bool is_mount_of(int root, uid_t user)
{
	_cleanup_mountinfo_ struct mountinfo mount = { 0 };

	return mountinfo_of(root, &mount) == 0 && mountinfo_is_of(&mount, user);
}

/*
 * Opens what was just mounted, by the name of its mountpoint, since a descriptor of that goes on
 * meaning what is covered now. Once: what is unmounted later is this, whatever becomes of the name.
 */
static int open_root(const char *place, uid_t user)
{
	_cleanup_close_ int root = open(place, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return root >= 0 && is_mount_of(root, user) ? take_fd(&root) : -1;
}

static int create_attached(const struct fuse_mount_request *request, struct fuse_mount *mount)
{
	_cleanup_free_ char *type = NULL, *data = NULL, *place = NULL;
	struct fd_path path = fd_path(request->mountpoint);
	int error;

	if (request->options && options_add_plain(&data, request->options) < 0)
		return -ENOMEM;
	if (add_private_options(request, &data) < 0 ||
	    asprintf(&type, "%s.%s", request->fuseblk ? "fuseblk" : "fuse", request->subtype) < 0)
		return -ENOMEM;
	place = realpath(path.text, NULL);
	if (!place)
		return -errno;
	privs_raise();
	error = new_mount_api_mount(request->source, path.text, type, request->flags, data) < 0
			? -errno
			: 0;
	privs_lower();
	if (error < 0)
		return error;
	mount->root = open_root(place, request->user);
	return mount->root < 0 ? -ESTALE : 0;
}

/*
 * Whether the kernel has all calls of the new API. To find that out on the way would be
 * too late: a /dev/fuse takes part in one superblock only.
 */
static bool has_new_api(void)
{
	return !(new_mount_api_fsopen("") < 0 && errno == ENOSYS) &&
	       !(new_mount_api_fsconfig(-1, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 &&
		 errno == ENOSYS) &&
	       !(new_mount_api_fsmount(-1, 0) < 0 && errno == ENOSYS) &&
	       !(new_mount_api_move_mount(-1, -1) < 0 && errno == ENOSYS);
}

int fuse_mount_create(const struct fuse_mount_request *request, struct fuse_mount *mount,
		      char *message, size_t size)
{
	struct fuse_mount_request shortened = *request;
	char source[FUSE_MOUNT_MAX_SOURCE + 1];

	message[0] = '\0';
	*mount = FUSE_MOUNT_NONE;
	snprintf(source, sizeof(source), "%s", request->source);
	if (!request->fuseblk)
		shortened.source = source;
	return has_new_api() ? create_detached(&shortened, mount, message, size)
			     : create_attached(&shortened, mount);
}

int fuse_mount_attach(struct fuse_mount *mount, int mountpoint)
{
	int error = 0;

	if (mount->fd >= 0) {
		privs_raise();
		error = new_mount_api_move_mount(mount->fd, mountpoint) < 0 ? -errno : 0;
		privs_lower();
	}
	if (error < 0)
		return error;
	mount->fd = close_fd(mount->fd);
	mount->root = close_fd(mount->root);
	return 0;
}

/*
 * Ends the FUSE connection of the mount that FD is on. A superblock that goes away asks its fuseblk
 * server to finish, and waits for the answer: a hostile one would never give it. Best effort, since
 * a plain fuse mount needs none of it.
 */
static void abort_connection(int fd)
{
	struct statx status;
	_cleanup_close_ int file = -1;
	char path[sizeof(CONNECTIONS "//abort") + 20];

	/* DONT_SYNC: the kernel answers from what it has, the server is not asked. */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &status) < 0)
		return;
	/* The name is the kernel's own form of a device number: 12 bits of major, 20 of minor. */
	snprintf(path, sizeof(path), CONNECTIONS "/%u/abort",
		 status.stx_dev_major << 20 | status.stx_dev_minor);
	privs_raise();
	file = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (file >= 0)
		(void)!write(file, "1", 1); /* or it has ended already */
	privs_lower();
}

void fuse_mount_discard(struct fuse_mount *mount)
{
	if (mount->fd >= 0)
		abort_connection(mount->fd);
	mount->fd = close_fd(mount->fd);
	if (mount->root < 0)
		return;
	abort_connection(mount->root);
	privs_raise();
	new_mount_api_umount(fd_path(mount->root).text);
	privs_lower();
	mount->root = close_fd(mount->root);
}
