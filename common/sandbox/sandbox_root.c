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

/* Where it is made before this process moves there; seen by nobody else. */
#define PLACE SERVICE_SOCKET_DIR

#define ROOT_FLAGS (MS_NOSUID | MS_NOEXEC)

/* Those of the shown filesystem that stay; they have the same numbers as for mount(2). */
#define KEPT_FLAGS (MS_NOEXEC | MS_NOATIME | MS_NODIRATIME)

/* What is shown of the disk, where it is there. */
static const char *const usual_paths[] = {
	"/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime",
};

/* A mountpoint for fsvc-open's server, see broker.c; one for sandbox_root_mount_proc(); and one
 * that programs expect, empty. */
static const char *const own_directories[] = { "dev",  "etc", "fsvc", "fsvc/mountpoint",
					       "proc", "run" };

/* The major number of all is 1. */
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

/* Shows PATH of the old root in the new one, which is the working directory. */
static int show(const char *path)
{
	const char *copy = path + 1;
	struct stat status, there;
	int error;

	if (lstat(path, &status) < 0)
		return -errno;
	if (lstat(copy, &there) == 0)
		return 0; /* as part of another */
	error = make_parents(copy);
	if (error < 0)
		return error;
	if (S_ISLNK(status.st_mode))
		return copy_symlink(path, copy);
	error = S_ISDIR(status.st_mode) ? make_directory(copy) : make_file(copy, "");
	return error < 0 ? error : bind_read_only(path, copy);
}

static int show_all(char *const *more)
{
	for (size_t i = 0; i < ARRAY_SIZE(usual_paths); i++) {
		int error = show(usual_paths[i]);

		if (error < 0 && error != -ENOENT)
			return error;
	}
	for (; more && *more; more++) {
		int error = show(*more);

		if (error < 0) {
			diag_error("cannot show %s: %s", *more, strerror(-error));
			return error;
		}
	}
	return 0;
}

/* Some servers ask who they are, and give up when nobody knows. */
static int make_users(uid_t uid)
{
	char users[256], own[64] = "";

	if (uid != 0)
		snprintf(own, sizeof(own), "fsvc%u:x:%u:%u::/:/\n", uid, uid, uid);
	snprintf(users, sizeof(users), "root:x:0:0::/:/\n%snobody:x:65534:65534::/:/\n", own);
	return make_file("etc/passwd", users);
}

static int furnish(uid_t uid, char *const *more)
{
	int error = 0;

	for (size_t i = 0; i < ARRAY_SIZE(own_directories); i++)
		if (error == 0)
			error = make_directory(own_directories[i]);
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		if (error == 0 &&
		    mknod(devices[i].path, S_IFCHR | 0666, makedev(1, devices[i].minor)) < 0)
			error = -errno;
	/* Where execveat(2)'s programs are looked for by TOMOYO of older kernels (5.10). */
	if (error == 0 && symlink("/proc/self/fd", "dev/fd") < 0)
		error = -errno;
	if (error == 0)
		error = make_users(uid);
	if (error == 0)
		error = show_all(more);
	if (error == 0 && mount(NULL, ".", NULL, MS_REMOUNT | MS_RDONLY | ROOT_FLAGS, NULL) < 0)
		error = -errno;
	return error;
}

/* All mounts but the lowest and the new root, in the order of the table. */
static int list_mounts(struct strv *targets)
{
	_cleanup_mountinfo_ struct mountinfo mount = { 0 };
	_cleanup_file_ FILE *table = mountinfo_open();
	int more = table ? 0 : -errno;

	while (table && (more = mountinfo_next(table, &mount)) > 0)
		if (strcmp(mount.target, "/") != 0 && strcmp(mount.target, PLACE) != 0)
			strv_add(targets, mount.target);
	return targets->failed ? -ENOMEM : more;
}

/*
 * The first filesystem of a machine cannot be taken away: what is mounted there is, so that nothing
 * is kept busy by this process, and the working directory covers it.
 */
static int cover_root(void)
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
	/* Those first that others are on, which go with them: to look for these, a user's server
	 * would have to be asked. */
	for (size_t i = 0; i < targets.count; i++)
		umount2(targets.argv[i] + 1, MNT_DETACH | UMOUNT_NOFOLLOW);
	return fchdir(new) < 0 ? -errno : 0;
}

static int change_root(void)
{
	int error = 0;

	/* The old root comes to lie on the new one, from where it is taken away. */
	if (syscall(SYS_pivot_root, ".", ".") == 0)
		error = umount2(".", MNT_DETACH) < 0 ? -errno : 0;
	else
		error = errno == EINVAL ? cover_root() : -errno;
	return error < 0 || chdir("/") == 0 ? error : -errno;
}

int sandbox_root_enter(uid_t uid, char *const *more)
{
	int error;

	umask(0);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("fsvc", PLACE, "tmpfs", ROOT_FLAGS, "mode=755,size=1m,nr_inodes=256") < 0 ||
	    chdir(PLACE) < 0)
		return -errno;
	error = furnish(uid, more);
	return error < 0 ? error : change_root();
}

int sandbox_root_mount_proc(void)
{
	/* Read-only: /proc/self/mem would write memory whatever its protection is. */
	return mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
		     "hidepid=2,subset=pid") < 0
		       ? -errno
		       : 0;
}
