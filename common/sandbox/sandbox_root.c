/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sandbox/sandbox_root.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/diag.h"
#include "base/strv.h"
#include "config.h"
#include "mount/mountinfo.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

/* The mountpoint of the new root directory, in the mount namespace of the service only. */
#define NEW_ROOT SERVICE_SOCKET_DIR

#define ROOT_FLAGS (MS_NOSUID | MS_NOEXEC)

/* Flags of the original mount that a read-only bind mount keeps (ST_* have the values of MS_*). */
#define KEPT_FLAGS (MS_NOEXEC | MS_NOATIME | MS_NODIRATIME)

/* The paths of the system that are shown in the sandbox if they exist. */
static const char *const default_paths[] = {
	"/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime",
};

/* "fsvc/mountpoint" is the mountpoint that the broker tells its server. "proc" is for
 * sandbox_root_mount_proc(). Some programs expect an empty "run". */
static const char *const empty_directories[] = { "dev",  "etc", "fsvc", "fsvc/mountpoint",
						 "proc", "run" };

/* The devices in /dev, all with major number 1. */
static const struct {
	const char *path;
	unsigned int minor;
} devices[] = {
	{ "dev/null", 3 },   { "dev/zero", 5 },    { "dev/full", 7 },
	{ "dev/random", 8 }, { "dev/urandom", 9 },
};

static int make_directory(const char *path)
{
	return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static int make_parents(const char *path)
{
	char parent[PATH_MAX];
	int error = 0;

	for (const char *slash = path; error == 0 && (slash = strchr(slash, '/')); slash++) {
		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
		error = make_directory(parent);
	}
	return error;
}

static int make_file(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int copy_symlink(const char *path, const char *copy)
{
	char target[PATH_MAX];
	ssize_t length = readlink(path, target, sizeof(target) - 1);

	if (length < 0)
		return -errno;
	target[length] = '\0';
	return symlink(target, copy) < 0 ? -errno : 0;
}

static int bind_read_only(const char *path, const char *copy)
{
	struct statfs status;
	unsigned long kept;

	if (mount(path, copy, NULL, MS_BIND, NULL) < 0 || statfs(copy, &status) < 0)
		return -errno;
	kept = (unsigned long)status.f_flags & KEPT_FLAGS;
	return mount(NULL, copy, NULL,
		     MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | kept, NULL) < 0
		       ? -errno
		       : 0;
}

/* Show PATH of the old root in the new root, which is the working directory. */
static int show_path(const char *path)
{
	const char *copy = path + 1;
	struct stat status, there;
	int error;

	if (lstat(path, &status) < 0)
		return -errno;
	if (lstat(copy, &there) == 0)
		return 0; /* below a path that is shown already */
	error = make_parents(copy);
	if (error < 0)
		return error;
	if (S_ISLNK(status.st_mode))
		return copy_symlink(path, copy);
	error = S_ISDIR(status.st_mode) ? make_directory(copy) : make_file(copy, "");
	return error < 0 ? error : bind_read_only(path, copy);
}

static int show_paths(char *const *extra_paths)
{
	for (size_t i = 0; i < ARRAY_SIZE(default_paths); i++) {
		int error = show_path(default_paths[i]);

		if (error < 0 && error != -ENOENT)
			return error;
	}
	for (; extra_paths && *extra_paths; extra_paths++) {
		int error = show_path(*extra_paths);

		if (error < 0) {
			diag_error("%s: cannot show this path to the service: %s", *extra_paths,
				   strerror(-error));
			return error;
		}
	}
	return 0;
}

/* Some servers fail if their user ID has no name. */
static int make_user_database(uid_t uid)
{
	char users[256], own[64] = "";

	if (uid != 0)
		snprintf(own, sizeof(own), "fsvc%u:x:%u:%u::/:/\n", uid, uid, uid);
	snprintf(users, sizeof(users), "root:x:0:0::/:/\n%snobody:x:65534:65534::/:/\n", own);
	return make_file("etc/passwd", users);
}

static int fill_root(uid_t uid, char *const *extra_paths)
{
	int error = 0;

	for (size_t i = 0; i < ARRAY_SIZE(empty_directories); i++)
		if (error == 0)
			error = make_directory(empty_directories[i]);
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		if (error == 0 &&
		    mknod(devices[i].path, S_IFCHR | 0666, makedev(1, devices[i].minor)) < 0)
			error = -errno;
	/* TOMOYO in older kernels (5.10) looks up the program of execveat(2) by this path. */
	if (error == 0 && symlink("/proc/self/fd", "dev/fd") < 0)
		error = -errno;
	if (error == 0)
		error = make_user_database(uid);
	if (error == 0)
		error = show_paths(extra_paths);
	if (error == 0 && mount(NULL, ".", NULL, MS_REMOUNT | MS_RDONLY | ROOT_FLAGS, NULL) < 0)
		error = -errno;
	return error;
}

/* List all mounts except the first root filesystem and the new root, in the order of mountinfo. */
static int list_mounts(struct strv *targets)
{
	_cleanup_mountinfo_ struct mountinfo mount = { 0 };
	_cleanup_file_ FILE *table = mountinfo_open();
	int result = table ? 0 : -errno;

	while (table && (result = mountinfo_next(table, &mount)) > 0)
		if (strcmp(mount.target, "/") != 0 && strcmp(mount.target, NEW_ROOT) != 0)
			strv_add(targets, mount.target);
	return targets->failed ? -ENOMEM : result;
}

/*
 * Replace the root if it is the initramfs, which cannot be unmounted: unmount all mounts on it, so
 * that this process keeps none of them busy, and mount the new root over it.
 */
static int replace_initramfs(void)
{
	_cleanup_strv_ struct strv targets = { 0 };
	_cleanup_close_ int before = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int new = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int error = before < 0 || new < 0 ? -errno : list_mounts(&targets);

	if (error < 0)
		return error;
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || fchdir(new) < 0 || chroot(".") < 0 ||
	    fchdir(before) < 0)
		return -errno;
	/* Unmount parents first: their children go with them. Looking up the path of a child
	 * could block on a FUSE server. */
	for (size_t i = 0; i < targets.count; i++)
		umount2(targets.argv[i] + 1, MNT_DETACH | UMOUNT_NOFOLLOW);
	return fchdir(new) < 0 ? -errno : 0;
}

static int change_root(void)
{
	int error = 0;

	/* This mounts the old root on top of the new one (pivot_root(2)); unmount it there. */
	if (syscall(SYS_pivot_root, ".", ".") == 0)
		error = umount2(".", MNT_DETACH) < 0 ? -errno : 0;
	else
		error = errno == EINVAL ? replace_initramfs() : -errno;
	return error < 0 || chdir("/") == 0 ? error : -errno;
}

int sandbox_root_enter(uid_t uid, char *const *extra_paths)
{
	int error;

	umask(0);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("fsvc", NEW_ROOT, "tmpfs", ROOT_FLAGS, "mode=755,size=1m,nr_inodes=256") < 0 ||
	    chdir(NEW_ROOT) < 0)
		return -errno;
	error = fill_root(uid, extra_paths);
	return error < 0 ? error : change_root();
}

int sandbox_root_mount_proc(void)
{
	/* Read-only, because writing to /proc/self/mem ignores memory protection. */
	return mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
		     "hidepid=2,subset=pid") < 0
		       ? -errno
		       : 0;
}
