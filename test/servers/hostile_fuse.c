// SPDX-License-Identifier: LGPL-2.1-or-later
/* The mount: another one, another kind, another place, or more than one. */
#include "hostile.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

/* Whether both are one open file: the flags are the file's, not the descriptor's. */
static bool is_same(int one, int other)
{
	fcntl(one, F_SETFL, O_NONBLOCK);
	return fcntl(other, F_GETFL) & O_NONBLOCK;
}

/* Past who answers the open of /dev/fuse: by a descriptor, in a spelling that few know. */
static int another_connection(const long *words)
{
	char path[64];
	int other, fd = open("/dev/fuse", O_RDWR);

	(void)words;
	if (fd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/task/%d/fd/%d", (int)getpid(), fd);
	other = open(path, O_RDWR);
	if (other < 0)
		return -errno;
	return is_same(fd, other) ? -EXDEV : 0;
}

static int mount_at(const char *place, const char *type, unsigned long flags)
{
	char data[128] = "";
	int fd = open("/dev/fuse", O_RDWR);

	if (fd < 0)
		return -errno;
	snprintf(data, sizeof(data), "fd=%d,rootmode=40000,user_id=%d,group_id=%d", fd,
		 (int)getuid(), (int)getgid());
	return outcome(mount("hostile", place, type, flags, data));
}

static int mount_fuse(const long *words)
{
	return mount_at((const char *)words[0], (const char *)words[1], (unsigned long)words[2]);
}

static int mount_elsewise(const long *words)
{
	return mount_at(target.mountpoint, (const char *)words[0], (unsigned long)words[1]);
}

/* Two mounts of one server: the second would be one that nobody asked for. */
static int mount_twice(const long *words)
{
	int result = mount_at(target.mountpoint, "fuse", 0);

	(void)words;
	return result < 0 ? result : mount_at(target.mountpoint, "fuse", 0);
}

const struct attempt on_fuse[] = {
	{ "mount FUSE on /run", mount_fuse, { P("/run"), P("fuse"), 0 } },
	{ "mount FUSE on /usr", mount_fuse, { P("/usr"), P("fuse"), 0 } },
	{ "mount another type on the mountpoint", mount_elsewise, { P("tmpfs"), 0 } },
	{ "remount the mountpoint", mount_elsewise, { P("fuse"), MS_REMOUNT | MS_BIND } },
	{ "a FUSE connection of its own", another_connection, { 0 } },
	{ "mount twice", mount_twice, { 0 } },
	{ 0 },
};
