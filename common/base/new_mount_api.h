/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mount flags and system calls of the kernel, for C libraries without them (glibc before 2.36,
 * musl). Each function returns the result of the system call, or -1 and errno; ENOSYS if the kernel
 * does not have it.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FUSE_DEVICE "/dev/fuse"

/* Linux 5.2. The numbers are the same on every architecture. */
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

/* Linux 6.8 */
#ifndef SYS_statmount
#define SYS_statmount 457
#define SYS_listmount 458
#endif

#ifndef AT_HANDLE_MNT_ID_UNIQUE
#define AT_HANDLE_MNT_ID_UNIQUE 1 /* Linux 6.12 */
#endif

static inline int new_mount_api_fsopen(const char *type)
{
	return (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
}

static inline int new_mount_api_fsconfig(int context, unsigned int command, const char *key,
					 const void *value, int auxiliary)
{
	return (int)syscall(SYS_fsconfig, context, command, key, value, auxiliary);
}

static inline int new_mount_api_fsmount(int context, unsigned int attributes)
{
	return (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes);
}

/* Attach the detached mount MOUNT to the mountpoint TARGET, both file descriptors. */
static inline int new_mount_api_move_mount(int mount, int target)
{
	return (int)syscall(SYS_move_mount, mount, "", target, "",
			    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

/* Create a detached copy of the mount of FILE (O_PATH is enough), with FILE as its root. */
static inline int new_mount_api_clone(int file)
{
	return (int)syscall(SYS_open_tree, file, "",
			    AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

static inline int new_mount_api_setattr(int mount, const struct mount_attr *attributes, size_t size)
{
	return (int)syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, attributes, size);
}

static inline int new_mount_api_mount(const char *source, const char *target, const char *type,
				      unsigned long flags, const void *data)
{
	return (int)syscall(SYS_mount, source, target, type, flags, data);
}

/* The result of statmount(2). Strings are offsets into TEXTS. */
struct new_mount_api_status {
	uint32_t size, options;
	uint64_t mask;
	uint32_t major, minor;
	uint64_t magic;
	uint32_t flags, type;
	uint64_t unique_id, unique_parent_id;
	uint32_t id, parent_id;
	uint64_t attributes, propagation, peer_group, master, propagate_from;
	uint32_t root, target;
	uint64_t reserved[50];
	char texts[];
};

/*
 * The fields that statmount(2) is asked for: superblock, mount, target, type, options (Linux 6.11).
 */
#define NEW_MOUNT_API_STATUS_WANTED (0x1 | 0x2 | 0x10 | 0x20 | 0x80)

/* The argument of statmount(2) and listmount(2). */
struct new_mount_api_request {
	uint32_t size, reserved;
	uint64_t id, parameter;
};

/*
 * Get the status of the mount of FILE (O_PATH is enough). Only the kernel is asked, not the
 * filesystem.
 */
static inline int new_mount_api_status(int file, struct new_mount_api_status *status, size_t size)
{
	struct file_handle handle = { .handle_bytes = 0 };
	struct new_mount_api_request request = { .size = sizeof(request),
						 .parameter = NEW_MOUNT_API_STATUS_WANTED };

	/*
	 * There is no space for a file handle, so the call fails with EOVERFLOW; the mount ID is
	 * set.
	 */
	if (syscall(SYS_name_to_handle_at, file, "", &handle, &request.id,
		    AT_EMPTY_PATH | AT_HANDLE_MNT_ID_UNIQUE) < 0 &&
	    errno != EOVERFLOW)
		return -1;
	return (int)syscall(SYS_statmount, &request, status, size, 0);
}

/* Store the IDs of at most COUNT mounts in IDS. Return their number. */
static inline long new_mount_api_list(uint64_t *ids, size_t count)
{
	struct new_mount_api_request request = { .size = sizeof(request), .id = UINT64_MAX };

	return syscall(SYS_listmount, &request, ids, count, 0);
}

/* Unmount the mount at TARGET with MNT_DETACH. */
static inline int new_mount_api_umount(const char *target)
{
	return (int)syscall(SYS_umount2, target, 2);
}
