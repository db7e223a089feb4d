/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A FUSE server with the high-level API of libfuse 3:
 *
 *     mount -t fuse.single_file_hl disk.img /mnt        (as a service)
 *     single_file_hl disk.img /mnt                      (from the command line)
 *
 * The code for services is in serve() and in single_file.c.
 */
#define FUSE_USE_VERSION 319

#include "single_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char file_path[] = "/" SINGLE_FILE_NAME;

static const struct single_file *the_file(void)
{
	return fuse_get_context()->private_data;
}

static void *hl_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
	(void)config;
	single_file_init(connection);
	return fuse_get_context()->private_data;
}

static int hl_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	bool is_root = strcmp(path, "/") == 0;

	(void)fi;
	if (!is_root && strcmp(path, file_path) != 0)
		return -ENOENT;
	return single_file_getattr(the_file(), is_root, st);
}

static int hl_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	(void)path;
	(void)fi;
	return single_file_truncate(the_file(), size);
}

static int hl_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
		      struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	const enum fuse_fill_dir_flags none = 0;

	(void)path;
	(void)offset;
	(void)fi;
	(void)flags;
	fill(buffer, ".", NULL, 0, none);
	fill(buffer, "..", NULL, 0, none);
	fill(buffer, SINGLE_FILE_NAME, NULL, 0, none);
	return 0;
}

static int hl_statfs(const char *path, struct statvfs *st)
{
	(void)path;
	return single_file_statfs(the_file(), st);
}

static int hl_open(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	return single_file_open(the_file(), fi);
}

/* libfuse copies the bytes that *DATA describes, and frees *DATA. */
static int hl_read_buf(const char *path, struct fuse_bufvec **data, size_t size, off_t offset,
		       struct fuse_file_info *fi)
{
	struct fuse_bufvec *range = malloc(sizeof(*range));

	(void)path;
	(void)fi;
	if (!range)
		return -ENOMEM;
	*range = single_file_range(the_file(), offset, size);
	*data = range;
	return 0;
}

static int hl_write_buf(const char *path, struct fuse_bufvec *data, off_t offset,
			struct fuse_file_info *fi)
{
	(void)path;
	(void)fi;
	return (int)single_file_write(the_file(), data, offset);
}

static int hl_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
	(void)path;
	(void)fi;
	return single_file_fsync(the_file(), data_only);
}

static const struct fuse_operations operations = {
	.init = hl_init,
	.getattr = hl_getattr,
	.truncate = hl_truncate,
	.readdir = hl_readdir,
	.statfs = hl_statfs,
	.open = hl_open,
	.read_buf = hl_read_buf,
	.write_buf = hl_write_buf,
	.fsync = hl_fsync,
};

static int serve(struct single_file *file, struct fuse_args *args)
{
	int ret;

	if (fuse_service_accepted(file->service)) {
		fuse_service_expect_mount_format(file->service, single_file_root_format(file));
		ret = fuse_service_main(file->service, args, &operations, file);
	} else {
		ret = fuse_main(args->argc, args->argv, &operations, file);
	}
	return ret > 0 ? -EIO : ret;
}

int main(int argc, char *argv[])
{
	return single_file_run(argc, argv, serve);
}
