/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The flags and system calls of mounting as the kernel has them, for C libraries that lack some of
 * them (glibc before 2.36, musl). Each call returns -1 and errno, ENOSYS where the kernel lacks it.
 */
#pragma once

#include <fcntl.h>
#include <linux/mount.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FUSE_DEVICE "/dev/fuse"

/* The numbers are the same on every architecture (Linux 5.2). */
#ifndef SYS_move_mount
#define SYS_open_tree  428
#define SYS_move_mount 429
#define SYS_fsopen     430
#define SYS_fsconfig   431
#define SYS_fsmount    432
#endif

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442 /* Linux 5.12 */
struct mount_attr {
	uint64_t attr_set, attr_clr, propagation, userns_fd;
};
#endif

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256 /* Linux 5.10 */
#endif
#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000 /* Linux 5.14 */
#endif

static inline int mountapi_fsopen(const char *type)
{
	return (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
}

static inline int mountapi_fsconfig(int context, unsigned int command, const char *key,
				    const void *value, int auxiliary)
{
	return (int)syscall(SYS_fsconfig, context, command, key, value, auxiliary);
}

static inline int mountapi_fsmount(int context, unsigned int attributes)
{
	return (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes);
}

/* Moves the detached mount MOUNT onto TARGET, both by descriptor. */
static inline int mountapi_move_mount(int mount, int target)
{
	return (int)syscall(SYS_move_mount, mount, "", target, "",
			    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

/* A detached copy of the mount that FILE is on, with FILE, which may be O_PATH, as its root. */
static inline int mountapi_clone(int file)
{
	return (int)syscall(SYS_open_tree, file, "",
			    AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

static inline int mountapi_setattr(int mount, const struct mount_attr *attributes, size_t size)
{
	return (int)syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, attributes, size);
}

static inline int mountapi_mount(const char *source, const char *target, const char *type,
				 unsigned long flags, const void *data)
{
	return (int)syscall(SYS_mount, source, target, type, flags, data);
}

/* Takes away the mount whose root TARGET names, at once: MNT_DETACH. */
static inline int mountapi_umount(const char *target)
{
	return (int)syscall(SYS_umount2, target, 2);
}
