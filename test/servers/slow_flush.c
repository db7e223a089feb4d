/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * slow_flush SOURCE MOUNTPOINT [OPTIONS]: a server for tests that takes five seconds to exit. It
 * shows SOURCE as one file, keeps written data in memory, and writes it back when the filesystem
 * is unmounted. It has no support for services.
 */
#define FUSE_USE_VERSION 31

#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLUSH_SECONDS 5

static struct {
	const char *source;
	int fd;
	char *content;
	size_t size;
} server;

static bool is_root(const char *path)
{
	return strcmp(path, "/") == 0;
}

static int slow_getattr(const char *path, struct stat *status, struct fuse_file_info *info)
{
	(void)info;
	*status = (struct stat){ .st_mode = S_IFDIR | 0755, .st_nlink = 2 };
	if (is_root(path))
		return 0;
	if (strcmp(path, "/data") != 0)
		return -ENOENT;
	*status = (struct stat){ .st_mode = S_IFREG | 0666,
				 .st_nlink = 1,
				 .st_size = (off_t)server.size };
	return 0;
}

static int slow_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
			struct fuse_file_info *info, enum fuse_readdir_flags flags)
{
	(void)path;
	(void)offset;
	(void)info;
	(void)flags;
	fill(buffer, "data", NULL, 0, 0);
	return 0;
}

/* Return how many of SIZE bytes at OFFSET are in the file, whose size is fixed. */
static size_t available(size_t size, off_t offset)
{
	if (offset < 0 || (size_t)offset >= server.size)
		return 0;
	return size < server.size - (size_t)offset ? size : server.size - (size_t)offset;
}

static int slow_read(const char *path, char *buffer, size_t size, off_t offset,
		     struct fuse_file_info *info)
{
	size_t length = available(size, offset);

	(void)path;
	(void)info;
	memcpy(buffer, server.content + offset, length);
	return (int)length;
}

static int slow_write(const char *path, const char *buffer, size_t size, off_t offset,
		      struct fuse_file_info *info)
{
	size_t length = available(size, offset);

	(void)path;
	(void)info;
	memcpy(server.content + offset, buffer, length);
	return length ? (int)length : -ENOSPC;
}

static void slow_destroy(void *data)
{
	(void)data;
	sleep(FLUSH_SECONDS);
	if (pwrite(server.fd, server.content, server.size, 0) != (ssize_t)server.size ||
	    fsync(server.fd) < 0)
		perror(server.source);
}

static const struct fuse_operations operations = {
	.getattr = slow_getattr,
	.readdir = slow_readdir,
	.read = slow_read,
	.write = slow_write,
	.destroy = slow_destroy,
};

static int load(void)
{
	struct stat status;

	server.fd = open(server.source, O_RDWR | O_CLOEXEC);
	if (server.fd < 0 || fstat(server.fd, &status) < 0)
		return -errno;
	server.size = (size_t)status.st_size;
	server.content = malloc(server.size);
	if (!server.content)
		return -ENOMEM;
	return pread(server.fd, server.content, server.size, 0) == (ssize_t)server.size ? 0 : -EIO;
}

int main(int argc, char **argv)
{
	int error;

	if (argc < 3) {
		fprintf(stderr, "usage: slow_flush SOURCE MOUNTPOINT [OPTIONS]\n");
		return 1;
	}
	server.source = argv[1];
	error = load();
	if (error < 0) {
		fprintf(stderr, "%s: %s\n", server.source, strerror(-error));
		return 1;
	}
	/* Hide SOURCE from libfuse. */
	argv[1] = argv[0];
	return fuse_main(argc - 1, argv + 1, &operations, NULL);
}
