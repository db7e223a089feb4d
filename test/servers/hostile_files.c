// SPDX-License-Identifier: LGPL-2.1-or-later
/* Attempts on files of other users, devices, the disk and the attributes of the source. */
#include "hostile.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static int read_file(const long *args)
{
	char byte;
	int fd = open((const char *)args[0], O_RDONLY | O_NONBLOCK);

	return fd < 0 ? -errno : syscall_error(read(fd, &byte, 1));
}

/* Open a file for writing, without a write: the kernel checks the permission in open(2). */
static int open_file(const long *args)
{
	return syscall_error(open((const char *)args[0], (int)args[1]));
}

static int create_in(const long *args)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/hostile", (const char *)args[0]);
	fd = open(path, O_CREAT | O_EXCL | O_RDWR, 0600);
	return fd < 0 ? -errno : syscall_error(unlink(path));
}

static int create_unnamed_in(const long *args)
{
	return syscall_error(open((const char *)args[0], O_TMPFILE | O_RDWR, 0600));
}

static int make_directory(const long *args)
{
	const char *path = (const char *)args[0];

	return mkdir(path, 0700) < 0 ? -errno : syscall_error(rmdir(path));
}

static int make_symlink(const long *args)
{
	const char *path = (const char *)args[0];

	return symlink("/", path) < 0 ? -errno : syscall_error(unlink(path));
}

static int make_device(const long *args)
{
	const char *path = (const char *)args[0];
	dev_t number = makedev((unsigned int)args[1], (unsigned int)args[2]);

	return mknod(path, S_IFCHR | 0600, number) < 0 ? -errno : syscall_error(unlink(path));
}

/* Open a file above the root directory with "..". */
static int open_above(const long *args)
{
	int directory = open((const char *)args[0], O_PATH | O_DIRECTORY);

	if (directory < 0)
		return -errno;
	return syscall_error(openat(directory, "../../../../images/other.img", O_RDONLY));
}

static const char *fd_path(int fd)
{
	static char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

/* /proc/self/fd opens the file without a lookup in its directories. */
static int reopen_source_for_writing(const long *args)
{
	(void)args;
	return syscall_error(open(fd_path(target.source_fd), O_RDWR));
}

static int link_source(const long *args)
{
	const char *path = (const char *)args[0];

	if (linkat(AT_FDCWD, fd_path(target.source_fd), AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	return syscall_error(unlink(path));
}

/* The times, permissions, owner and attributes of the source are not part of the image. */
static int touch_source(const long *args)
{
	(void)args;
	return syscall_error(futimens(target.source_fd, NULL));
}

static int set_source_xattr(const long *args)
{
	(void)args;
	return syscall_error(fsetxattr(target.source_fd, "user.hostile", "1", 1, 0));
}

static int chmod_source(const long *args)
{
	(void)args;
	return syscall_error(fchmod(target.source_fd, 06777));
}

static int chown_source(const long *args)
{
	(void)args;
	return syscall_error(fchown(target.source_fd, getuid(), getgid()));
}

static int set_source_flags(const long *args)
{
	int flags;

	(void)args;
	if (ioctl(target.source_fd, FS_IOC_GETFLAGS, &flags) < 0)
		return -errno;
	flags ^= FS_NODUMP_FL;
	return syscall_error(ioctl(target.source_fd, FS_IOC_SETFLAGS, &flags));
}

static int lease_source(const long *args)
{
	(void)args;
	return syscall_error(fcntl(target.source_fd, F_SETLEASE, F_RDLCK));
}

/* The filesystem of the test does not support FIFREEZE, so that a success harms nobody. */
static int freeze_disk(const long *args)
{
	(void)args;
	return syscall_error(ioctl(target.source_fd, FIFREEZE, 0));
}

/* A file handle opens any file of a filesystem without a path. */
static int open_by_handle(const long *args)
{
	struct {
		struct file_handle head;
		unsigned char buffer[MAX_HANDLE_SZ];
	} handle = { .head.handle_bytes = MAX_HANDLE_SZ };
	int mount;

	(void)args;
	if (name_to_handle_at(target.source_fd, "", &handle.head, &mount, AT_EMPTY_PATH) < 0)
		handle.head.handle_bytes =
			8; /* the kernel checks the capability before the handle */
	return syscall_error(open_by_handle_at(target.source_fd, &handle.head, O_RDONLY));
}

const struct attempt file_attempts[] = {
	{ "read /etc/shadow", read_file, { P("/etc/shadow") } },
	{ "read /etc/machine-id", read_file, { P("/etc/machine-id") } },
	{ "read a file in /root", read_file, { P("/root/secret") } },
	{ "read a file in /home", read_file, { P("/home/user/secret") } },
	{ "read another image", read_file, { P("/images/other.img") } },
	{ "read another image by a path with ..", read_file, { P("/fsvc/../images/other.img") } },
	{ "read another image by /proc/self/root",
	  read_file,
	  { P("/proc/self/root/images/other.img") } },
	{ "read another image from above the root", open_above, { P("/") } },
	{ "read another image from above the mountpoint", open_above, { P("/fsvc/mountpoint") } },
	{ "read /run/machine-secret", read_file, { P("/run/machine-secret") } },
	{ "open any file by its handle", open_by_handle, { 0 } },
	{ "read the environment of init", read_file, { P("/proc/1/environ") } },
	{ "enter the root of init", read_file, { P("/proc/1/root/etc/hostname") } },
	{ "read the kernel's symbols", read_file, { P("/proc/kallsyms") } },
	{ "read the kernel's keys", read_file, { P("/proc/keys") } },
	{ "read the mounts of init", read_file, { P("/proc/1/mountinfo") } },
	{ "read /sys", read_file, { P("/sys/kernel/uevent_seqnum") } },
	{ "set core_pattern", open_file, { P("/proc/sys/kernel/core_pattern"), O_WRONLY } },
	{ "leave the cgroup", open_file, { P("/sys/fs/cgroup/cgroup.procs"), O_WRONLY } },
	{ "write /etc/passwd", open_file, { P("/etc/passwd"), O_WRONLY | O_APPEND } },
	{ "overwrite a program", open_file, { P("/usr/bin/true"), O_WRONLY } },
	{ "create a file in /", create_in, { P("/") } },
	{ "create a file in /tmp", create_in, { P("/tmp") } },
	{ "create a file in /var/tmp", create_in, { P("/var/tmp") } },
	{ "create a file in /run", create_in, { P("/run") } },
	{ "create a file in /usr", create_in, { P("/usr") } },
	{ "create a file in /dev", create_in, { P("/dev") } },
	{ "create a file in /dev/shm", create_in, { P("/dev/shm") } },
	{ "create a file in /root", create_in, { P("/root") } },
	{ "create a file next to the source", create_in, { P("/fsvc") } },
	{ "create a file in the mountpoint", create_in, { P("/fsvc/mountpoint") } },
	{ "create an unnamed file in /tmp", create_unnamed_in, { P("/tmp") } },
	{ "create an unnamed file in /dev/shm", create_unnamed_in, { P("/dev/shm") } },
	{ "create a directory next to the source", make_directory, { P("/fsvc/hostile") } },
	{ "create a symlink next to the source", make_symlink, { P("/fsvc/hostile") } },
	{ "create a device for physical memory", make_device, { P("/fsvc/mem"), 1, 1 } },
	{ "open /dev/kmsg", open_file, { P("/dev/kmsg"), O_RDWR | O_NONBLOCK } },
	{ "open /dev/loop-control", open_file, { P("/dev/loop-control"), O_RDWR } },
	{ "open /dev/loop0", open_file, { P("/dev/loop0"), O_RDONLY } },
	{ "open a terminal", open_file, { P("/dev/ptmx"), O_RDWR | O_NOCTTY } },
	{ "write to the source of a read-only mount", reopen_source_for_writing, { 0 } },
	{ "change the time of the source", touch_source, { 0 } },
	{ "set an attribute of the source", set_source_xattr, { 0 } },
	{ "change the flags of the source", set_source_flags, { 0 } },
	{ "make the source a set-user-ID file", chmod_source, { 0 } },
	{ "change the owner of the source", chown_source, { 0 } },
	{ "set a lease on the source", lease_source, { 0 } },
	{ "link the source", link_source, { P("/images/hostile-link") } },
	{ "freeze the disk", freeze_disk, { 0 } },
	{ 0 },
};
