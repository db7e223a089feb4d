/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper/mountpoint_policy.h"

#include "base/array.h"
#include "base/fdpath.h"
#include "mount/mountinfo.h"

#include <errno.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

static int refuse(const char **reason, const char *text, int error)
{
	*reason = text;
	return error;
}

/*
 * Return true if FD is on a filesystem that stores files. A mount on /proc or /sys could hide
 * information from other programs. The types are numbers: not all headers define all names.
 */
static bool is_on_file_storage(int fd)
{
	static const struct {
		const char *name;
		unsigned long type;
	} known[] = {
		{ "bcachefs", 0xca451a4e }, { "btrfs", 0x9123683e },    { "ceph", 0x00c36400 },
		{ "cifs", 0xff534d42 },     { "ecryptfs", 0xf15f },     { "erofs", 0xe0f5e1e2 },
		{ "exfat", 0x2011bab0 },    { "ext4", 0xef53 },         { "f2fs", 0xf2f52010 },
		{ "fuse", 0x65735546 },     { "hfsplus", 0x482b },      { "isofs", 0x9660 },
		{ "jffs2", 0x72b6 },        { "jfs", 0x3153464a },      { "nfs", 0x6969 },
		{ "nilfs2", 0x3434 },       { "ntfs", 0x5346544e },     { "ntfs3", 0x7366746e },
		{ "overlay", 0x794c7630 },  { "ramfs", 0x858458f6 },    { "reiserfs", 0x52654973 },
		{ "smb2", 0xfe534d42 },     { "squashfs", 0x73717368 }, { "tmpfs", 0x01021994 },
		{ "ubifs", 0x24051905 },    { "udf", 0x15013346 },      { "v9fs", 0x01021997 },
		{ "vfat", 0x4d44 },         { "xfs", 0x58465342 },      { "zfs", 0x2fc12fc1 },
	};
	struct statfs status;

	if (fstatfs(fd, &status) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		/* Some architectures sign-extend the 32 bits. */
		if ((uint32_t)status.f_type == known[i].type)
			return true;
	return false;
}

int mountpoint_policy_check_limit(const struct authority *authority, const char **reason)
{
	int is_reached = authority->is_root || authority->conf.mount_max < 0
				 ? 0
				 : mountinfo_reaches_fuse_limit(authority->conf.mount_max);

	if (is_reached < 0)
		return refuse(reason, "cannot count the existing mounts", -EPERM);
	if (is_reached)
		return refuse(reason, "limit mount_max in " FUSE_CONF_PATH " reached", -EPERM);
	return 0;
}

static int check_for_user(const struct authority *authority, int fd, const struct stat *status,
			  const char **reason)
{
	if ((status->st_mode & S_ISVTX) && status->st_uid != getuid())
		return refuse(reason, "sticky directory of another user", -EPERM);
	/* Check the opened mountpoint: its path may lead elsewhere by now. */
	if (access(fd_path(fd).text, W_OK) < 0)
		return refuse(reason, "not writable by the caller", -errno);
	if (!is_on_file_storage(fd))
		return refuse(reason, "filesystem type not allowed as a mountpoint for users",
			      -EPERM);
	return mountpoint_policy_check_limit(authority, reason);
}

int mountpoint_policy_check(const struct authority *authority, int fd, const char **reason)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return refuse(reason, "cannot examine the mountpoint", -errno);
	if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
		return refuse(reason, "neither a directory nor a regular file", -EACCES);
	return authority->is_root ? 0 : check_for_user(authority, fd, &status, reason);
}
