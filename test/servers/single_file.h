/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A filesystem with one file, whose content is that of a file or a block device. This is the common
 * code of the two sample servers: single_file_ll.c uses the low-level API of libfuse,
 * single_file_hl.c the high-level API.
 *
 * Usage: single_file_ll SOURCE MOUNTPOINT [-o ro,file_mount,uid=N,gid=N,blocksize=N]
 *
 *   ro            read-only; also set if SOURCE cannot be opened for writing
 *   file_mount    the root is a file; MOUNTPOINT must be a regular file
 *   uid=N, gid=N  the owner and the group of the file; default: 0
 *   blocksize=N   SOURCE is a block device: set its block size to N bytes (only as a service)
 */
#pragma once

#include <fuse_service.h>

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#define SINGLE_FILE_NAME "single_file"

struct single_file {
	struct fuse_service *service; /* NULL if started from the command line */
	char *source;
	int fd;
	off_t size;
	/* Mount options, with the types that fuse_opt_parse() needs. */
	int read_only;
	int file_mount;
	unsigned int uid;
	unsigned int gid;
	unsigned int block_size;
};

/*
 * Run a server: accept the connection, parse the arguments, open the source, and call SERVE with
 * the arguments that are left. SERVE mounts, answers requests until the filesystem is unmounted,
 * and returns 0 or a negative errno. Return the exit status for main().
 */
int single_file_run(int argc, char *argv[],
		    int (*serve)(struct single_file *file, struct fuse_args *args));

/* Print the usage of a server. Return -EINVAL. */
int single_file_usage(const char *program);

/* Return the type of the root and of the mountpoint: S_IFREG or S_IFDIR. */
mode_t single_file_root_format(const struct single_file *file);

/* Let libfuse splice data from the source to the kernel. */
void single_file_init(struct fuse_conn_info *connection);

/* Get the attributes of the root, or of the file in it. Return 0 or a negative errno. */
int single_file_getattr(const struct single_file *file, bool is_root, struct stat *st);

/* Get the values for statvfs(3). Return 0. */
int single_file_statfs(const struct single_file *file, struct statvfs *st);

/* Check if the file can be opened with the flags of FI. Return 0 or a negative errno. */
int single_file_open(const struct single_file *file, struct fuse_file_info *fi);

/* Return a description of SIZE bytes at OFFSET, fewer at the end of the file, for libfuse to copy.
 */
struct fuse_bufvec single_file_range(const struct single_file *file, off_t offset, size_t size);

/* Write at OFFSET up to the end of the file. Return the bytes written or a negative errno. */
ssize_t single_file_write(const struct single_file *file, struct fuse_bufvec *data, off_t offset);

/* Accept only the current size, which is fixed. Return 0 or a negative errno. */
int single_file_truncate(const struct single_file *file, off_t size);

/* Wait until all written data is on the disk. Return 0 or a negative errno. */
int single_file_fsync(const struct single_file *file, bool data_only);
