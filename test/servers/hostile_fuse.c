// SPDX-License-Identifier: LGPL-2.1-or-later
/* Attempts to mount at another path, with another type or flags, or more than once. */
#include "hostile.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

/* Return true if both are one open file description, which the file status flags belong to. */
static bool is_same_description(int one, int other)
{
	fcntl(one, F_SETFL, O_NONBLOCK);
	return fcntl(other, F_GETFL) & O_NONBLOCK;
}

/* Open /dev/fuse by a path that the broker may fail to recognize. */
static int open_second_connection(const long *args)
{
	char path[64];
	int other, fd = open("/dev/fuse", O_RDWR);

	(void)args;
	if (fd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/task/%d/fd/%d", (int)getpid(), fd);
	other = open(path, O_RDWR);
	if (other < 0)
		return -errno;
	return is_same_description(fd, other) ? -EXDEV : 0;
}

static int mount_at(const char *path, const char *type, unsigned long flags)
{
	char data[128] = "";
	int fd = open("/dev/fuse", O_RDWR);

	if (fd < 0)
		return -errno;
	snprintf(data, sizeof(data), "fd=%d,rootmode=40000,user_id=%d,group_id=%d", fd,
		 (int)getuid(), (int)getgid());
	return syscall_error(mount("hostile", path, type, flags, data));
}

static int mount_fuse(const long *args)
{
	return mount_at((const char *)args[0], (const char *)args[1], (unsigned long)args[2]);
}

static int mount_other_type(const long *args)
{
	return mount_at(target.mountpoint, (const char *)args[0], (unsigned long)args[1]);
}

/* Make a second mount, which the caller did not ask for. */
static int mount_twice(const long *args)
{
	int result = mount_at(target.mountpoint, "fuse", 0);

	(void)args;
	return result < 0 ? result : mount_at(target.mountpoint, "fuse", 0);
}

const struct attempt fuse_attempts[] = {
	{ "mount FUSE on /run", mount_fuse, { P("/run"), P("fuse"), 0 } },
	{ "mount FUSE on /usr", mount_fuse, { P("/usr"), P("fuse"), 0 } },
	{ "mount another type on the mountpoint", mount_other_type, { P("tmpfs"), 0 } },
	{ "remount the mountpoint", mount_other_type, { P("fuse"), MS_REMOUNT | MS_BIND } },
	{ "open a second FUSE connection", open_second_connection, { 0 } },
	{ "mount twice", mount_twice, { 0 } },
	{ 0 },
};
