/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * one_file SOURCE MOUNTPOINT [OPTIONS]: a filesystem without a directory, for tests. Its root is a
 * file with the content of SOURCE. It has no support for services; doc/porting.md adds it.
 */
#define FUSE_USE_VERSION 31

#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int source;

static int one_getattr(const char *path, struct stat *status, struct fuse_file_info *info)
{
	(void)path;
	(void)info;
	if (fstat(source, status) < 0)
		return -errno;
	status->st_mode = S_IFREG | 0444;
	return 0;
}

static int one_open(const char *path, struct fuse_file_info *info)
{
	(void)path;
	return (info->flags & O_ACCMODE) == O_RDONLY ? 0 : -EACCES;
}

static int one_read(const char *path, char *buffer, size_t size, off_t offset,
		    struct fuse_file_info *info)
{
	ssize_t done = pread(source, buffer, size, offset);

	(void)path;
	(void)info;
	return done < 0 ? -errno : (int)done;
}

static const struct fuse_operations operations = {
	.getattr = one_getattr,
	.open = one_open,
	.read = one_read,
};

/* Keep the first operand, SOURCE. libfuse handles the second, MOUNTPOINT. */
static int take_source(void *data, const char *arg, int key, struct fuse_args *rest)
{
	char **path = data;

	(void)rest;
	if (key != FUSE_OPT_KEY_NONOPT || *path)
		return 1;
	*path = strdup(arg);
	return *path ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	static char *path;
	int result;

	if (fuse_opt_parse(&args, &path, NULL, take_source) < 0 || !path) {
		fprintf(stderr, "one_file SOURCE MOUNTPOINT [OPTIONS]\n");
		return 1;
	}
	source = open(path, O_RDONLY | O_CLOEXEC);
	if (source < 0) {
		perror(path);
		return 1;
	}
	result = fuse_main(args.argc, args.argv, &operations, NULL);
	fuse_opt_free_args(&args);
	return result;
}
