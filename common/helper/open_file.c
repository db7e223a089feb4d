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
		      const char **why)
{
	if (S_ISBLK(status->st_mode))
		return 0;
	if (request->must_be_block) {
		*why = "which is not a block device";
		return -ENOTBLK;
	}
	if (S_ISREG(status->st_mode))
		return 0;
	*why = "which is neither a regular file nor a block device";
	return S_ISDIR(status->st_mode) ? -EISDIR : -EACCES;
}

/*
 * Opens what FOUND (O_PATH) refers to: the file that was looked at, whatever its name leads to by
 * now. O_NONBLOCK: a lease, or a drive without its medium, must not keep the helper waiting.
 */
static int reopen(int found, uint32_t flags)
{
	int fd = open(fd_path(found).text, (int)flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* A mount with the file FOUND (O_PATH) alone, on which little can be done with it; or -1. */
static int wall_in(int found, bool write)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
						     MOUNT_ATTR_NOEXEC };
	int wall;

	/* noatime too: the kernel would look at each read(2) whether it may note the time. */
	if (!write) {
		attributes.attr_set |= MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME;
		attributes.attr_clr = MOUNT_ATTR__ATIME;
	}
	privs_raise();
	wall = new_mount_api_clone(found);
	if (wall >= 0 && new_mount_api_setattr(wall, &attributes, sizeof(attributes)) < 0)
		wall = close_fd(wall);
	privs_lower();
	return wall;
}

static int open_regular(int found, uint32_t flags, struct opened_file *opened)
{
	opened->wall = wall_in(found, open_flags_write(flags));
	/* Without O_CREAT, O_EXCL has a meaning for devices alone. */
	return reopen(opened->wall < 0 ? found : opened->wall, flags & ~(uint32_t)O_EXCL);
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

	/* The kernel wants CAP_SYS_ADMIN; the caller had the right to open this device. */
	privs_raise();
	error = ioctl(fd, BLKBSZSET, &wanted) < 0 ? -errno : 0;
	privs_lower();
	return error;
}

/* What the server sees is what open(2) would have given it. */
static int restore_blocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ? -errno : 0;
}

int open_file(const struct open_file_request *request, struct opened_file *opened, const char **why)
{
	/* O_NOFOLLOW is about the name, and has done its work when the second open begins. */
	uint32_t name_flags = request->flags & O_NOFOLLOW;
	uint32_t flags = request->flags & ~(uint32_t)O_NOFOLLOW;
	_cleanup_close_ int found = -1;
	struct stat status;
	int error;

	*opened = OPENED_FILE_NONE;
	*why = NULL;
	/* O_PATH touches nothing: opening a device node for real can rewind a tape. */
	found = open(request->path, O_PATH | O_CLOEXEC | (int)name_flags);
	if (found < 0 || fstat(found, &status) < 0)
		return -errno;
	error = check_kind(request, &status, why);
	if (error < 0)
		return error;

	opened->fd = S_ISBLK(status.st_mode) ? open_device(request, found, flags)
					     : open_regular(found, flags, opened);
	if (opened->fd == -EBUSY)
		*why = "which is in use, perhaps mounted";
	if (opened->fd < 0)
		return opened->fd;
	if (request->block_size != 0 && S_ISBLK(status.st_mode)) {
		error = set_block_size(opened->fd, request->block_size);
		*why = "with a block size that the kernel refuses";
		if (error < 0)
			return error;
	}
	return flags & O_NONBLOCK ? 0 : restore_blocking(opened->fd);
}

void open_file_close(struct opened_file *opened)
{
	close_fd(opened->fd);
	close_fd(opened->wall);
	*opened = OPENED_FILE_NONE;
}
