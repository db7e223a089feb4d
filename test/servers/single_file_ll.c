/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A FUSE server with the low-level API of libfuse 3:
 *
 *     mount -t fuse.single_file_ll disk.img /mnt        (as a service)
 *     single_file_ll disk.img /mnt                      (from the command line)
 *
 * The code for services is in serve() and in single_file.c.
 */
#define FUSE_USE_VERSION 319

#include "single_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* FUSE_ROOT_ID, 1, is the directory, or the file with -o file_mount. */
#define FILE_ID (FUSE_ROOT_ID + 1)

/* How long the kernel caches a name or an attribute. */
#define CACHE_TIMEOUT_S 1.0

static const struct single_file *file_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static void ll_init(void *file, struct fuse_conn_info *connection)
{
	(void)file;
	single_file_init(connection);
}

static void ll_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {
		.ino = FILE_ID,
		.attr_timeout = CACHE_TIMEOUT_S,
		.entry_timeout = CACHE_TIMEOUT_S,
	};
	int ret;

	if (parent != FUSE_ROOT_ID || strcmp(name, SINGLE_FILE_NAME) != 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	ret = single_file_getattr(file_of(req), false, &entry.attr);
	entry.attr.st_ino = FILE_ID;
	if (ret < 0)
		fuse_reply_err(req, -ret);
	else
		fuse_reply_entry(req, &entry);
}

static void ll_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	int ret = single_file_getattr(file_of(req), ino == FUSE_ROOT_ID, &st);

	(void)fi;
	st.st_ino = ino;
	if (ret < 0)
		fuse_reply_err(req, -ret);
	else
		fuse_reply_attr(req, &st, CACHE_TIMEOUT_S);
}

static void ll_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
		       struct fuse_file_info *fi)
{
	const int fixed = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID |
			  FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME;
	int ret = to_set & fixed ? -EPERM : 0;

	if (ret == 0 && (to_set & FUSE_SET_ATTR_SIZE))
		ret = single_file_truncate(file_of(req), st->st_size);
	if (ret < 0)
		fuse_reply_err(req, -ret);
	else
		ll_getattr(req, ino, fi);
}

static void ll_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		       struct fuse_file_info *fi)
{
	static const struct {
		const char *name;
		struct stat st;
	} entries[] = {
		{ ".", { .st_ino = FUSE_ROOT_ID, .st_mode = S_IFDIR } },
		{ "..", { .st_ino = FUSE_ROOT_ID, .st_mode = S_IFDIR } },
		{ SINGLE_FILE_NAME, { .st_ino = FILE_ID, .st_mode = S_IFREG } },
	};
	const off_t count = sizeof(entries) / sizeof(entries[0]);
	char buffer[256];
	size_t used = 0;

	(void)ino;
	(void)fi;
	if (size > sizeof(buffer))
		size = sizeof(buffer);
	while (offset < count) {
		size_t length =
			fuse_add_direntry(req, buffer + used, size - used, entries[offset].name,
					  &entries[offset].st, offset + 1);

		if (length > size - used)
			break;
		used += length;
		offset++;
	}
	fuse_reply_buf(req, buffer, used);
}

static void ll_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;

	(void)ino;
	single_file_statfs(file_of(req), &st);
	fuse_reply_statfs(req, &st);
}

static void ll_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	int ret = single_file_open(file_of(req), fi);

	(void)ino;
	if (ret < 0)
		fuse_reply_err(req, -ret);
	else
		fuse_reply_open(req, fi);
}

static void ll_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	struct fuse_bufvec range = single_file_range(file_of(req), offset, size);

	(void)ino;
	(void)fi;
	fuse_reply_data(req, &range, 0);
}

static void ll_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *data, off_t offset,
			 struct fuse_file_info *fi)
{
	ssize_t written = single_file_write(file_of(req), data, offset);

	(void)ino;
	(void)fi;
	if (written < 0)
		fuse_reply_err(req, (int)-written);
	else
		fuse_reply_write(req, (size_t)written);
}

static void ll_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, -single_file_fsync(file_of(req), data_only));
}

static const struct fuse_lowlevel_ops operations = {
	.init = ll_init,
	.lookup = ll_lookup,
	.getattr = ll_getattr,
	.setattr = ll_setattr,
	.readdir = ll_readdir,
	.statfs = ll_statfs,
	.open = ll_open,
	.read = ll_read,
	.write_buf = ll_write_buf,
	.fsync = ll_fsync,
};

/*
 * Answer requests of the kernel until the filesystem is unmounted. The main thread is enough for
 * one file; -o clone_fd starts more.
 */
static int answer_requests(struct fuse_session *session, const struct fuse_cmdline_opts *options)
{
	if (!options->clone_fd || options->singlethread)
		return fuse_session_loop(session);

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 12)
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int ret;

	if (!config)
		return -ENOMEM;
	fuse_loop_cfg_set_clone_fd(config, 1);
	ret = fuse_session_loop_mt(session, config);
	fuse_loop_cfg_destroy(config);
	return ret;
#else
	struct fuse_loop_config config = {
		.clone_fd = 1,
		.max_idle_threads = options->max_idle_threads,
	};

	return fuse_session_loop_mt(session, &config);
#endif
}

/* Mount and answer requests, as a service or from the command line. */
static int mount_and_serve(struct single_file *file, struct fuse_session *session,
			   struct fuse_cmdline_opts *options)
{
	int ret;

	if (fuse_service_accepted(file->service)) {
		/* The helper mounts, and exits when it receives EXIT_SUCCESS. */
		ret = fuse_service_session_mount(file->service, session,
						 single_file_root_format(file), options);
		if (ret == 0)
			ret = fuse_service_send_goodbye(file->service, EXIT_SUCCESS);
		if (ret == 0)
			fuse_service_release(file->service);
	} else {
		ret = fuse_session_mount(session, options->mountpoint);
		if (ret == 0)
			ret = fuse_daemonize(options->foreground);
	}
	if (ret != 0)
		return ret < 0 ? ret : -EIO;

	/* A positive result is the signal that ended the loop: SIGTERM is not a failure. */
	ret = answer_requests(session, options);
	return ret < 0 ? ret : 0;
}

static void free_options(struct fuse_cmdline_opts *options)
{
	free(options->mountpoint);
}

static int serve(struct single_file *file, struct fuse_args *args)
{
	__attribute__((cleanup(free_options))) struct fuse_cmdline_opts options = { 0 };
	struct fuse_session *session;
	int ret;

	if (fuse_service_accepted(file->service))
		ret = fuse_service_parse_cmdline_opts(args, &options);
	else
		ret = fuse_parse_cmdline(args, &options);
	if (ret != 0)
		return -EINVAL;
	if (!options.mountpoint)
		return single_file_usage(args->argv[0]);

	session = fuse_session_new(args, &operations, sizeof(operations), file);
	if (!session)
		return -EINVAL;
	ret = fuse_set_signal_handlers(session) == 0 ? 0 : -EIO;
	if (ret == 0) {
		ret = mount_and_serve(file, session, &options);
		fuse_remove_signal_handlers(session);
	}
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	return ret;
}

int main(int argc, char *argv[])
{
	return single_file_run(argc, argv, serve);
}
