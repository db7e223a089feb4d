/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper/open_file.h"

#include "base/cleanup.h"
#include "base/fdpath.h"
#include "base/new_mount_api.h"
#include "base/open_flags.h"
#include "base/privs.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

static int check_kind(const struct open_file_request *request, const struct stat *status,
		      const char **reason)
{
	if (S_ISBLK(status->st_mode))
		return 0;
	if (request->must_be_block) {
		*reason = "not a block device";
		return -ENOTBLK;
	}
	if (S_ISREG(status->st_mode))
		return 0;
	*reason = "neither a regular file nor a block device";
	return S_ISDIR(status->st_mode) ? -EISDIR : -EACCES;
}

/*
 * Open the file of FOUND (O_PATH), even if its path leads elsewhere by now. O_NONBLOCK: a lease or
 * a drive without a medium must not block the helper.
 */
static int reopen(int found, uint32_t flags)
{
	int fd = open(fd_path(found).text, (int)flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/*
 * Create a mount of the file FOUND (O_PATH) with noexec and, unless WRITE is true, read-only.
 * Return its file descriptor, or -1.
 */
static int create_private_mount(int found, bool write)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
						     MOUNT_ATTR_NOEXEC };
	int private_mount;

	/* noatime saves the kernel a check for each read(2). */
	if (!write) {
		attributes.attr_set |= MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME;
		attributes.attr_clr = MOUNT_ATTR__ATIME;
	}
	privs_raise();
	private_mount = new_mount_api_clone(found);
	if (private_mount >= 0 &&
	    new_mount_api_setattr(private_mount, &attributes, sizeof(attributes)) < 0)
		private_mount = close_fd(private_mount);
	privs_lower();
	return private_mount;
}

static int open_regular(int found, uint32_t flags, struct opened_file *opened)
{
	opened->private_mount = create_private_mount(found, open_flags_write(flags));
	/* Without O_CREAT, O_EXCL is only defined for devices. */
	return reopen(opened->private_mount < 0 ? found : opened->private_mount,
		      flags & ~(uint32_t)O_EXCL);
}

static int open_device(const struct open_file_request *request, int found, uint32_t flags)
{
	bool write = open_flags_write(flags);
	int fd;

	if (!write)
		return reopen(found, flags);
	fd = reopen(found, flags | O_EXCL);
	if (fd < 0 || !request->kernel_claims)
		return fd;
	close_fd(fd);
	return reopen(found, flags & ~(uint32_t)O_EXCL);
}

static int set_block_size(int fd, uint32_t size)
{
	int wanted = (int)size, error;

	/* BLKBSZSET needs CAP_SYS_ADMIN. The caller had the right to open this device. */
	privs_raise();
	error = ioctl(fd, BLKBSZSET, &wanted) < 0 ? -errno : 0;
	privs_lower();
	return error;
}

/* Clear O_NONBLOCK, which the service has not requested. */
static int restore_blocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ? -errno : 0;
}

int open_file(const struct open_file_request *request, struct opened_file *opened,
	      const char **reason)
{
	/* O_NOFOLLOW applies to the path, not to the second open(2). */
	uint32_t name_flags = request->flags & O_NOFOLLOW;
	uint32_t flags = request->flags & ~(uint32_t)O_NOFOLLOW;
	_cleanup_close_ int found = -1;
	struct stat status;
	int error;

	*opened = OPENED_FILE_NONE;
	*reason = NULL;
	/* O_PATH has no side effects; opening a device node can rewind a tape. */
	found = open(request->path, O_PATH | O_CLOEXEC | (int)name_flags);
	if (found < 0 || fstat(found, &status) < 0)
		return -errno;
	error = check_kind(request, &status, reason);
	if (error < 0)
		return error;

	opened->fd = S_ISBLK(status.st_mode) ? open_device(request, found, flags)
					     : open_regular(found, flags, opened);
	if (opened->fd == -EBUSY)
		*reason = "in use, perhaps mounted";
	if (opened->fd < 0)
		return opened->fd;
	if (request->block_size != 0 && S_ISBLK(status.st_mode)) {
		error = set_block_size(opened->fd, request->block_size);
		*reason = "block size refused by the kernel";
		if (error < 0)
			return error;
	}
	return flags & O_NONBLOCK ? 0 : restore_blocking(opened->fd);
}

void open_file_close(struct opened_file *opened)
{
	close_fd(opened->fd);
	close_fd(opened->private_mount);
	*opened = OPENED_FILE_NONE;
}
