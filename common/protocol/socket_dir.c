/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "protocol/socket_dir.h"

#include "base/cleanup.h"
#include "base/lockfile.h"
#include "protocol/channel.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* The temporary name of a socket until it listens. */
#define NEW_SOCKET SERVICE_SOCKET_DIR "/.new"

/* Read COUNT numbers from a file. A number that is missing becomes -1. */
static void read_numbers(const char *path, long long *numbers, size_t count)
{
	_cleanup_file_ FILE *file = fopen(path, "re");

	for (size_t i = 0; i < count; i++)
		if (!file || fscanf(file, "%lld", &numbers[i]) != 1)
			numbers[i] = -1;
}

/*
 * Return true if OWNER is the overflow user ID (user_namespaces(7)) in a user namespace: the owner,
 * perhaps the system's root, is a user outside the namespace.
 */
static bool is_outside_namespace(uid_t owner)
{
	long long overflow,
		map[3]; /* first ID inside, first ID outside, count; see user_namespaces(7) */

	read_numbers("/proc/sys/kernel/overflowuid", &overflow, 1);
	read_numbers("/proc/self/uid_map", map, 3);
	return owner == overflow && map[2] > 0 && map[2] < UINT32_MAX;
}

static int check_directory(const char **reason)
{
	struct stat status;

	if (lstat(SERVICE_SOCKET_DIR, &status) < 0)
		return -errno;
	if (S_ISDIR(status.st_mode) && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0) {
		if (status.st_uid == 0)
			return 0;
		/*
		 * The owner is outside the user namespace. It may be root, but this cannot be
		 * verified here: act as if no service existed.
		 */
		if (is_outside_namespace(status.st_uid))
			return -ENOENT;
	}
	*reason = SERVICE_SOCKET_DIR " is not trusted: users other than root can write to it";
	return -EPERM;
}

static int build_path(const char *subtype, char **pathp)
{
	*pathp = NULL;
	if (asprintf(pathp, "%s/%s", SERVICE_SOCKET_DIR, subtype) < 0) {
		*pathp = NULL;
		return -ENOMEM;
	}
	return strlen(*pathp) >= sizeof(((struct sockaddr_un *)NULL)->sun_path) ? -ENAMETOOLONG : 0;
}

/* Build the path of the socket for SUBTYPE and check the directory, for the two functions below. */
static int prepare_path(const char *subtype, char **pathp, const char **reason)
{
	int error = build_path(subtype, pathp);

	*reason = NULL;
	return error < 0 ? error : check_directory(reason);
}

int socket_dir_find(const char *subtype, char **pathp, const char **reason)
{
	struct stat status;
	int error;

	error = prepare_path(subtype, pathp, reason);
	if (error < 0)
		return error;
	/* Only root can change it between this check and connect(2). */
	if (lstat(*pathp, &status) < 0)
		return -errno;
	if (S_ISSOCK(status.st_mode) && status.st_uid == 0)
		return 0;
	*reason = "not a socket owned by root";
	return -EPERM;
}

static int create_directory(const char *path)
{
	return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

int socket_dir_create(const char **reason)
{
	_cleanup_close_ int lock = -1;
	char path[] = SERVICE_SOCKET_DIR;
	int error = 0;

	for (char *slash = path + 1; error == 0 && (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = '\0';
		error = create_directory(path);
	}
	if (error == 0)
		error = create_directory(path);
	*reason = NULL;
	if (error == 0)
		error = check_directory(reason);
	if (error < 0)
		return error;
	/* Fail now if the directory is not writable. */
	lock = lockfile_take(SERVICE_LOCK_FILE, LOCKFILE_SOCKETS, true);
	return lock < 0 ? lock : 0;
}

static int create_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* Check that PATH is free, or a socket on which no service listens. */
static int check_path_is_free(const char *path, const char **reason)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;
	struct stat status;

	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode)) {
		*reason = "not a socket";
		return -EEXIST;
	}
	fd = create_socket();
	if (fd < 0)
		return fd;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 &&
			       errno == ECONNREFUSED
		       ? 0
		       : -EADDRINUSE;
}

/* Listen on another name, then rename it to PATH: a client that finds PATH can always connect. */
static int listen_at(int fd, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t mask = umask(0777 & ~SERVICE_SOCKET_PERMS);
	int error;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", NEW_SOCKET);
	unlink(NEW_SOCKET); /* left by a killed process */
	error = channel_refuse_descriptors(fd) < 0 ||
				bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
				listen(fd, SOMAXCONN) < 0 || rename(address.sun_path, path) < 0
			? -errno
			: 0;
	umask(mask);
	if (error < 0)
		unlink(NEW_SOCKET);
	return error;
}

int socket_dir_listen(const char *subtype, char **pathp, const char **reason)
{
	_cleanup_close_ int fd = -1, lock = -1;
	int error;

	error = prepare_path(subtype, pathp, reason);
	if (error < 0)
		return error;
	/* Without the lock, two processes could both find the path free. */
	lock = lockfile_take(SERVICE_LOCK_FILE, LOCKFILE_SOCKETS, true);
	error = lock < 0 ? lock : check_path_is_free(*pathp, reason);
	fd = error < 0 ? error : create_socket();
	if (fd < 0)
		return fd;
	error = listen_at(fd, *pathp);
	return error < 0 ? error : take_fd(&fd);
}

void socket_dir_remove(const char *path, const struct stat *status)
{
	_cleanup_close_ int lock = lockfile_take(SERVICE_LOCK_FILE, LOCKFILE_SOCKETS, true);
	struct stat now;

	if (lock >= 0 && lstat(path, &now) == 0 && now.st_ino == status->st_ino &&
	    now.st_dev == status->st_dev)
		unlink(path);
}

int socket_dir_list_types(struct strv *types)
{
	_cleanup_directory_ DIR *directory = opendir(SERVICE_SOCKET_DIR);
	const struct dirent *entry;
	struct stat status;

	if (!directory)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(directory)))
		/* A name with a dot is temporary. */
		if (entry->d_name[0] != '.' &&
		    fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISSOCK(status.st_mode))
			strv_add(types, entry->d_name);
	return types->failed ? -ENOMEM : 0;
}

const char *socket_dir_parse_type(const char *path)
{
	const size_t length = strlen(SERVICE_SOCKET_DIR);

	if (strncmp(path, SERVICE_SOCKET_DIR, length) != 0 || path[length] != '/')
		return NULL;
	path += length + 1;
	return *path && !strchr(path, '/') ? path : NULL;
}
