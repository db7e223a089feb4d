/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A server that runs as a service and from the command line. The code for services is in this file,
 * and in the function that each server passes to single_file_run().
 */
#define FUSE_USE_VERSION 319

#include "single_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_BLOCK_SIZE 4096

int single_file_usage(const char *program)
{
	fuse_log(FUSE_LOG_ERR,
		 "usage: %s SOURCE MOUNTPOINT [-o ro,file_mount,uid=N,gid=N,blocksize=N]\n",
		 program);
	return -EINVAL;
}

/* Keep the first operand, SOURCE. libfuse handles the second, MOUNTPOINT. */
static int take_source(void *data, const char *arg, int key, struct fuse_args *rest)
{
	struct single_file *file = data;

	(void)rest;
	if (key != FUSE_OPT_KEY_NONOPT || file->source)
		return 1;
	file->source = strdup(arg);
	return file->source ? 0 : -1;
}

static int parse_arguments(struct single_file *file, struct fuse_args *args)
{
	static const struct fuse_opt options[] = {
		{ "file_mount", offsetof(struct single_file, file_mount), 1 },
		{ "uid=%u", offsetof(struct single_file, uid), 0 },
		{ "gid=%u", offsetof(struct single_file, gid), 0 },
		{ "blocksize=%u", offsetof(struct single_file, block_size), 0 },
		/* libfuse needs these options, too. */
		{ "ro", offsetof(struct single_file, read_only), 1 },
		{ "rw", offsetof(struct single_file, read_only), 0 },
		FUSE_OPT_KEY("ro", FUSE_OPT_KEY_KEEP),
		FUSE_OPT_KEY("rw", FUSE_OPT_KEY_KEEP),
		FUSE_OPT_END,
	};

	if (fuse_opt_parse(args, file, options, take_source) < 0)
		return -EINVAL;
	return file->source ? 0 : single_file_usage(args->argv[0]);
}

/*
 * Open the source, and set file->fd to the file descriptor or to the negative errno of open(2). A
 * service has no access to files: it asks the mount helper, which opens the files that are named on
 * its command line, with the permissions of the caller. Return 0, or a negative errno if the
 * communication with the helper fails.
 */
static int obtain_source(struct single_file *file, int flags, unsigned int request_flags)
{
	int ret;

	if (!fuse_service_accepted(file->service)) {
		file->fd = open(file->source, flags | O_CLOEXEC);
		if (file->fd < 0)
			file->fd = -errno;
		return 0;
	}

	if (file->block_size > 0)
		ret = fuse_service_request_blockdev(file->service, file->source, flags, 0,
						    request_flags, file->block_size);
	else
		ret = fuse_service_request_file(file->service, file->source, flags, 0,
						request_flags);
	return ret < 0 ? ret : fuse_service_receive_file(file->service, file->source, &file->fd);
}

/*
 * Open the source for writing, or else for reading. The first request is quiet, so that the helper
 * prints no message about it.
 */
static int open_source(struct single_file *file)
{
	int ret = 0;

	if (!file->read_only) {
		ret = obtain_source(file, O_RDWR, FUSE_SERVICE_REQUEST_FILE_QUIET);
		if (ret < 0 || file->fd >= 0)
			return ret;
		if (file->fd == -EACCES || file->fd == -EPERM || file->fd == -EROFS)
			file->read_only = 1;
	}
	ret = obtain_source(file, file->read_only ? O_RDONLY : O_RDWR, 0);
	return ret == 0 && file->fd < 0 ? file->fd : ret;
}

/* Get the type and the size of the source, and check if it can be written. */
static int examine_source(struct single_file *file)
{
	int flags = fcntl(file->fd, F_GETFL);
	struct stat st;

	if (flags < 0 || fstat(file->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -EINVAL;
	if ((flags & O_ACCMODE) == O_RDONLY)
		file->read_only = 1;

	/* st_size of a block device is 0. */
	file->size = lseek(file->fd, 0, SEEK_END);
	return file->size < 0 ? -errno : 0;
}

/* Add options for the mount table before the options of the caller, which override them. */
static int add_mount_options(const struct single_file *file, struct fuse_args *args)
{
	char name[PATH_MAX + sizeof("fsname=")];
	char *options = NULL;
	int ret = -ENOMEM;

	if (snprintf(name, sizeof(name), "fsname=%s", file->source) >= (int)sizeof(name))
		return -ENAMETOOLONG;
	if (fuse_opt_add_opt_escaped(&options, name) == 0 &&
	    fuse_opt_insert_arg(args, 1, options) == 0 && fuse_opt_insert_arg(args, 1, "-o") == 0)
		ret = 0;
	free(options);
	if (ret == 0 && file->read_only && fuse_opt_add_arg(args, "-oro") < 0)
		ret = -ENOMEM;
	return ret;
}

static int prepare(struct single_file *file, struct fuse_args *args)
{
	int ret;

	if (fuse_service_accepted(file->service)) {
		ret = fuse_service_append_args(file->service, args);
		if (ret < 0) {
			fuse_log(FUSE_LOG_ERR,
				 "%s: cannot get the arguments from the mount helper: %s\n",
				 args->argv[0], strerror(-ret));
			return ret;
		}
	}
	ret = parse_arguments(file, args);
	if (ret < 0)
		return ret;

	ret = open_source(file);
	if (ret == 0)
		ret = examine_source(file);
	if (ret == 0 && fuse_service_accepted(file->service))
		ret = fuse_service_finish_file_requests(file->service);
	if (ret == 0)
		ret = add_mount_options(file, args);
	if (ret < 0)
		fuse_log(FUSE_LOG_ERR, "%s: %s: %s\n", args->argv[0], file->source, strerror(-ret));
	return ret;
}

static void close_source(struct single_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	free(file->source);
}

int single_file_run(int argc, char *argv[],
		    int (*serve)(struct single_file *file, struct fuse_args *args))
{
	__attribute__((cleanup(fuse_opt_free_args))) struct fuse_args args =
		FUSE_ARGS_INIT(argc, argv);
	__attribute__((cleanup(close_source))) struct single_file file = { .fd = -1 };
	int ret = fuse_service_accept(&file.service);

	if (ret == 0)
		ret = prepare(&file, &args);
	if (ret == 0)
		ret = serve(&file, &args);

	/* umount(8) waits until the server exits: all data must be on the disk then. */
	if (ret == 0 && !file.read_only)
		ret = single_file_fsync(&file, false);
	/* The helper unmounts. It is gone if it had received EXIT_SUCCESS. */
	if (ret < 0 && fuse_service_accepted(file.service))
		fuse_service_send_goodbye(file.service, EXIT_FAILURE);
	fuse_service_destroy(&file.service);
	return fuse_service_exit(ret);
}

mode_t single_file_root_format(const struct single_file *file)
{
	return file->file_mount ? S_IFREG : S_IFDIR;
}

void single_file_init(struct fuse_conn_info *connection)
{
	/* libfuse enables only splice reads by itself. Since 3.17 it ignores `want` alone. */
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
	fuse_set_feature_flag(connection, FUSE_CAP_SPLICE_WRITE);
#else
	connection->want |= connection->capable & FUSE_CAP_SPLICE_WRITE;
#endif
}

int single_file_getattr(const struct single_file *file, bool is_root, struct stat *st)
{
	struct stat source;

	if (fstat(file->fd, &source) < 0)
		return -errno;
	memset(st, 0, sizeof(*st));
	st->st_uid = file->uid;
	st->st_gid = file->gid;
	st->st_atim = source.st_atim;
	st->st_mtim = source.st_mtim;
	st->st_ctim = source.st_ctim;
	if (is_root && !file->file_mount) {
		st->st_mode = S_IFDIR | (file->read_only ? 0555 : 0755);
		st->st_nlink = 2;
		return 0;
	}
	st->st_mode = S_IFREG | (source.st_mode & (file->read_only ? 0444 : 0644));
	st->st_nlink = 1;
	st->st_size = file->size;
	st->st_blocks = (file->size + 511) / 512;
	st->st_blksize = source.st_blksize;
	return 0;
}

int single_file_statfs(const struct single_file *file, struct statvfs *st)
{
	unsigned int block_size = file->block_size > 0 ? file->block_size : DEFAULT_BLOCK_SIZE;

	/* No block is free. */
	*st = (struct statvfs){
		.f_bsize = block_size,
		.f_frsize = block_size,
		.f_blocks = ((fsblkcnt_t)file->size + block_size - 1) / block_size,
		.f_files = 1,
		.f_namemax = NAME_MAX,
	};
	return 0;
}

int single_file_open(const struct single_file *file, struct fuse_file_info *fi)
{
	if (file->read_only && (fi->flags & O_ACCMODE) != O_RDONLY)
		return -EROFS;
	/* The size is fixed: O_TRUNC would not remove the old content. */
	if ((fi->flags & O_TRUNC) && file->size > 0)
		return -EPERM;
	fi->keep_cache = 1;
	return 0;
}

struct fuse_bufvec single_file_range(const struct single_file *file, off_t offset, size_t size)
{
	struct fuse_bufvec range = FUSE_BUFVEC_INIT(0);

	range.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	range.buf[0].fd = file->fd;
	range.buf[0].pos = offset;
	if (offset < file->size) {
		size_t rest = (size_t)(file->size - offset);

		range.buf[0].size = size < rest ? size : rest;
	}
	return range;
}

ssize_t single_file_write(const struct single_file *file, struct fuse_bufvec *data, off_t offset)
{
	size_t size = fuse_buf_size(data);
	struct fuse_bufvec range = single_file_range(file, offset, size);

	if (size > 0 && range.buf[0].size == 0)
		return -EFBIG;
	return fuse_buf_copy(&range, data, 0);
}

int single_file_truncate(const struct single_file *file, off_t size)
{
	return size == file->size ? 0 : -EPERM;
}

int single_file_fsync(const struct single_file *file, bool data_only)
{
	int ret = data_only ? fdatasync(file->fd) : fsync(file->fd);

	return ret < 0 ? -errno : 0;
}
