/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * slow_flush SOURCE MOUNTPOINT [OPTIONS]: the worst server for whoever is in a hurry, for tests. It
 * shows its source as one file, keeps what is written to that in memory, and writes it back at its
 * end, for which it takes five seconds. An ordinary server: it knows nothing of services.
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
} the;

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
				 .st_size = (off_t)the.size };
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

/* How much of SIZE bytes at OFFSET there is: the file neither grows nor shrinks. */
static size_t within(size_t size, off_t offset)
{
	if (offset < 0 || (size_t)offset >= the.size)
		return 0;
	return size < the.size - (size_t)offset ? size : the.size - (size_t)offset;
}

static int slow_read(const char *path, char *buffer, size_t size, off_t offset,
		     struct fuse_file_info *info)
{
	size_t length = within(size, offset);

	(void)path;
	(void)info;
	memcpy(buffer, the.content + offset, length);
	return (int)length;
}

static int slow_write(const char *path, const char *buffer, size_t size, off_t offset,
		      struct fuse_file_info *info)
{
	size_t length = within(size, offset);

	(void)path;
	(void)info;
	memcpy(the.content + offset, buffer, length);
	return length ? (int)length : -ENOSPC;
}

static void slow_destroy(void *data)
{
	(void)data;
	sleep(FLUSH_SECONDS);
	if (pwrite(the.fd, the.content, the.size, 0) != (ssize_t)the.size || fsync(the.fd) < 0)
		perror(the.source);
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

	the.fd = open(the.source, O_RDWR | O_CLOEXEC);
	if (the.fd < 0 || fstat(the.fd, &status) < 0)
		return -errno;
	the.size = (size_t)status.st_size;
	the.content = malloc(the.size);
	if (!the.content)
		return -ENOMEM;
	return pread(the.fd, the.content, the.size, 0) == (ssize_t)the.size ? 0 : -EIO;
}

int main(int argc, char **argv)
{
	int error;

	if (argc < 3) {
		fprintf(stderr, "usage: slow_flush SOURCE MOUNTPOINT [OPTIONS]\n");
		return 1;
	}
	the.source = argv[1];
	error = load();
	if (error < 0) {
		fprintf(stderr, "%s: %s\n", the.source, strerror(-error));
		return 1;
	}
	/* For libfuse the source is not there. */
	argv[1] = argv[0];
	return fuse_main(argc - 1, argv + 1, &operations, NULL);
}
