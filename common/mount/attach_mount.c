/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mount/attach_mount.h"

#include "base/cleanup.h"
#include "base/fdpath.h"
#include "base/new_mount_api.h"
#include "base/privs.h"
#include "base/statx.h"

#include <fcntl.h>
#include <stdio.h>

/* The kernel's directory of FUSE connections, named by device number; see fuse(4). */
#define CONNECTIONS "/sys/fs/fuse/connections"

int attach_mount(struct fuse_mount *mount, int mountpoint)
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
 * Abort the FUSE connection of the mount of FD. Without this, the destruction of a fuseblk
 * superblock would wait for the server, and a hostile server never answers. Errors are ignored: a
 * plain fuse mount does not need it.
 */
static void abort_connection(int fd)
{
	struct statx status;
	_cleanup_close_ int file = -1;
	char path[sizeof(CONNECTIONS "//abort") + 20];

	/* AT_STATX_DONT_SYNC: the kernel answers without asking the server. */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &status) < 0)
		return;
	/* The kernel's form of a device number: 12 bits of major, 20 bits of minor number. */
	snprintf(path, sizeof(path), CONNECTIONS "/%u/abort",
		 status.stx_dev_major << 20 | status.stx_dev_minor);
	privs_raise();
	file = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (file >= 0)
		(void)!write(file, "1", 1); /* Fails if the connection has ended. */
	privs_lower();
}

void discard_mount(struct fuse_mount *mount)
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
