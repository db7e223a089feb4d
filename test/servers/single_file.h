/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file or a block device, shown as a filesystem that holds one file: what the two sample servers
 * share. single_file_ll.c serves it with the low-level API of libfuse, single_file_hl.c with the
 * high-level one.
 *
 * Usage: single_file_ll SOURCE MOUNTPOINT [-o ro,file_mount,uid=N,gid=N,blocksize=N]
 *
 *   ro            nothing is written (also where SOURCE cannot be opened for writing)
 *   file_mount    MOUNTPOINT is a regular file, and shows SOURCE itself
 *   uid=N, gid=N  who owns the file (0)
 *   blocksize=N   SOURCE is a block device, to be set to blocks of N bytes (only as a service)
 */
#pragma once

#include <fuse_service.h>

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#define SINGLE_FILE_NAME "single_file"

struct single_file {
	struct fuse_service *service; /* NULL when started by hand */
	char *source;
	int fd;
	off_t size;
	/* What -o sets; fuse_opt_parse() wants these types. */
	int read_only;
	int file_mount;
	unsigned int uid;
	unsigned int gid;
	unsigned int block_size;
};

/*
 * The life of a server, the return value of main: takes the connection, the arguments and the
 * source, and calls SERVE with what is left of the arguments. SERVE mounts, serves until the
 * filesystem is unmounted, and returns 0 or a negative errno.
 */
int single_file_run(int argc, char *argv[],
		    int (*serve)(struct single_file *file, struct fuse_args *args));

/* Says how to call a server. Returns -EINVAL. */
int single_file_usage(const char *program);

/* The type of the root, which the mountpoint must have: S_IFREG or S_IFDIR. */
mode_t single_file_root_format(const struct single_file *file);

/* Agrees with the kernel that data may go from the source to it without a copy in the server. */
void single_file_init(struct fuse_conn_info *connection);

/* The attributes of the root, or of the file in it. Returns 0 or a negative errno. */
int single_file_getattr(const struct single_file *file, bool is_root, struct stat *st);

/* The numbers of statvfs(3). Returns 0. */
int single_file_statfs(const struct single_file *file, struct statvfs *st);

/* May the file be opened as FI asks? Returns 0 or a negative errno. */
int single_file_open(const struct single_file *file, struct fuse_file_info *fi);

/* SIZE bytes of the source at OFFSET, fewer at its end: libfuse moves them itself. */
struct fuse_bufvec single_file_range(const struct single_file *file, off_t offset, size_t size);

/* Writes at OFFSET, as far as the file reaches. Returns the bytes written or a negative errno. */
ssize_t single_file_write(const struct single_file *file, struct fuse_bufvec *data, off_t offset);

/* Accepts the size that the file has, as no other can be set. Returns 0 or a negative errno. */
int single_file_truncate(const struct single_file *file, off_t size);

/* Waits until all that was written is on the disk. Returns 0 or a negative errno. */
int single_file_fsync(const struct single_file *file, bool data_only);
