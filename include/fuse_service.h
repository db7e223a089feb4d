/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuse_service.h: FUSE servers that run as sandboxed services.
 *
 * A server linked to this library (pkg-config fsvc) is started by a service manager for each mount,
 * with one connection and no privileges. The mount helper, fuservicemount3, runs with the caller's
 * rights. Through the connection it passes the files that the command line names, and it makes the
 * mount.
 *
 *	fuse_service_accept(&service);			accept the connection
 *	fuse_service_append_args(service, &args);	get the command line
 *	fuse_service_request_file(service, path, ...);	request a file
 *	fuse_service_receive_file(service, path, &fd);
 *	fuse_service_finish_file_requests(service);
 *	fuse_service_session_mount(service, ...);	request the mount
 *	fuse_service_send_goodbye(service, 0);		report that the server is ready
 *
 * With the high-level API, fuse_service_main() replaces the last two steps and the main loop. The
 * directory test/servers/ has a complete server for each API.
 *
 * Define FUSE_USE_VERSION before including this header; it may be 319, since libfuse 3.19 has the
 * same interface.
 *
 * Unless stated otherwise, functions return 0 or a negative errno, and SF must not be NULL. The
 * library prints errors with fuse_log() only, and reads the environment variables of
 * sd_listen_fds(3).
 */
#ifndef FUSE_SERVICE_H_
#define FUSE_SERVICE_H_

#ifndef FUSE_USE_VERSION
#error FUSE_USE_VERSION must be defined before fuse_service.h is included
#endif

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/*
 * libfuse before 3.19 compares FUSE_USE_VERSION with the versions that changed its interface, so a
 * higher number, such as 319, selects its newest interface.
 */
#include <fuse.h>
#include <fuse_lowlevel.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fuse_service;

/* In request_flags: do not tell the caller if the file cannot be opened. */
#define FUSE_SERVICE_REQUEST_FILE_QUIET (1U << 0)

/* Return true if fuse_service_accept() has found a connection. */
static inline bool fuse_service_accepted(const struct fuse_service *sf)
{
	return sf != NULL;
}

#if defined(__linux__) && !defined(FUSE_SERVICE_STUBS)

/*
 * Accept the connection that a service manager has passed as file descriptor 3, do the handshake,
 * and receive the command line and /dev/fuse. The connection is close-on-exec.
 *
 * Store the service, which the caller releases with fuse_service_destroy(), in *sfp. If the process
 * was not started by socket activation, see sd_listen_fds(3), store NULL, print nothing and return
 * 0.
 *
 * Errors: -EINVAL for more than one file descriptor; -ENOTSOCK or -EAFNOSUPPORT if it is not an
 * AF_UNIX socket; -ENOBUFS if its send buffer is too small; -EPROTONOSUPPORT or -EBADMSG if the
 * helper does not follow the protocol; -ETIMEDOUT after 30 s without a packet; -ECONNRESET if the
 * helper has closed the connection.
 */
int fuse_service_accept(struct fuse_service **sfp);

/* Return true if the caller of the helper is permitted to use allow_other. */
bool fuse_service_can_allow_other(const struct fuse_service *sf);

/* Return true if the caller of the helper is permitted to mount the type fuseblk. */
bool fuse_service_can_fuseblk(const struct fuse_service *sf);

/*
 * Merge the helper's command line into ARGS, which must contain the arguments of main() before the
 * call. After it, args->argv[0] is the subtype, followed by the server's own arguments and then the
 * helper's. The caller frees ARGS with fuse_opt_free_args().
 */
int fuse_service_append_args(struct fuse_service *sf, struct fuse_args *args);

/*
 * Return the command line as text, for a process title: "ARGV0 -t SUBTYPE ARGS...". ARGC and ARGV
 * are those of main(), ARGS is the result of fuse_service_append_args(). The caller frees the
 * string; it is NULL if out of memory.
 */
char *fuse_service_cmdline(int argc, const char *const *argv, struct fuse_args *args);

/*
 * Parse ARGS like fuse_parse_cmdline(), but do not resolve the mountpoint: it does not exist in the
 * sandbox. Options of the session stay in ARGS. The caller frees opts->mountpoint. Return 0 or -1.
 */
int fuse_service_parse_cmdline_opts(struct fuse_args *args, struct fuse_cmdline_opts *opts);

/* The same for a struct fuse_cmdline_opts of SIZE bytes: libfuse 3.12 has extended it. */
int fuse_service_parse_cmdline_sized(struct fuse_args *args, struct fuse_cmdline_opts *opts,
				     size_t size);
#define fuse_service_parse_cmdline_opts(args, opts)                                                \
	fuse_service_parse_cmdline_sized(args, opts, sizeof(*(opts)))

/*
 * Request that the helper open PATH, spelled as on its command line, with OPEN_FLAGS (O_*).
 * CREATE_MODE is ignored: the helper creates no files. REQUEST_FLAGS are FUSE_SERVICE_REQUEST_*.
 * Receive the reply with fuse_service_receive_file() before the next request.
 */
int fuse_service_request_file(const struct fuse_service *sf, const char *path, int open_flags,
			      mode_t create_mode, unsigned int request_flags);

/* The same for a block device. Set its block size to BLOCK_SIZE unless that is 0. */
int fuse_service_request_blockdev(const struct fuse_service *sf, const char *path, int open_flags,
				  mode_t create_mode, unsigned int request_flags,
				  unsigned int block_size);

/*
 * Receive the reply for PATH. Store in *fdp the file descriptor, close-on-exec and owned by the
 * caller, or the negative errno of the helper's open(2). The return value is an error of the
 * connection: -EBADMSG if the reply is for another path.
 */
int fuse_service_receive_file(const struct fuse_service *sf, const char *path, int *fdp);

/* End the file requests: the kernel drops file descriptors that arrive later (Linux 6.16). */
int fuse_service_finish_file_requests(const struct fuse_service *sf);

/*
 * Set the required type of the mountpoint, S_IFDIR or S_IFREG, for calls with an EXPECTED_FMT of 0.
 * Default: 0, which allows both.
 */
void fuse_service_expect_mount_format(struct fuse_service *sf, mode_t expected_fmt);

/*
 * Bind the session SE to the helper's /dev/fuse and request the mount with the options that SE was
 * created with. The kernel sends requests from now on; the mount becomes visible after a goodbye of
 * 0. Change to the directory "/" and set opts->foreground: a service does not become a daemon.
 *
 * Errors: the errno with which the helper refused; -EINVAL if SE was created by a source file that
 * does not include this header.
 */
int fuse_service_session_mount(struct fuse_service *sf, struct fuse_session *se,
			       mode_t expected_fmt, struct fuse_cmdline_opts *opts);

/* Request that the helper discard the mount, before the goodbye. */
int fuse_service_session_unmount(struct fuse_service *sf);

/*
 * End the connection. If EXITCODE is 0, the helper attaches the mount and succeeds; otherwise it
 * discards the mount and fails. A second call does nothing.
 */
int fuse_service_send_goodbye(struct fuse_service *sf, int exitcode);

/* Close everything that SF has open. A mounted session keeps /dev/fuse. SF may be NULL. */
void fuse_service_release(struct fuse_service *sf);

/* Release and free *sfp and set it to NULL. */
void fuse_service_destroy(struct fuse_service **sfp);

/*
 * Return the exit status for RET, 0 or 1 (LSB). If the service manager could lose the last log
 * lines of an exited process, sleep for 2 s.
 */
int fuse_service_exit(int ret);

/*
 * Run a server with the high-level API: parse ARGS, create the filesystem of OP, mount it, send the
 * goodbye, and serve it until it is unmounted. The files must have been received before. Return 0
 * or a result of fuse_main().
 */
static inline int fuse_service_main(struct fuse_service *sf, struct fuse_args *args,
				    const struct fuse_operations *op, void *user_data);

/* The same for a struct fuse_operations of OP_SIZE bytes. */
int fuse_service_main_sized(struct fuse_service *sf, struct fuse_args *args,
			    const struct fuse_operations *op, size_t op_size, void *user_data);

static inline int fuse_service_main(struct fuse_service *sf, struct fuse_args *args,
				    const struct fuse_operations *op, void *user_data)
{
	return fuse_service_main_sized(sf, args, op, sizeof(*op), user_data);
}

/*
 * libfuse does not reveal the mount options of a session and removes them from ARGS. Therefore the
 * two functions that create a session first pass ARGS to the library. If the process is not a
 * service, this does nothing.
 */
int fuse_service_note_args(struct fuse_args *args);

static inline struct fuse_session *fuse_service_session_new(struct fuse_args *args,
							    const struct fuse_lowlevel_ops *op,
							    size_t op_size, void *user_data)
{
	if (fuse_service_note_args(args) < 0)
		return NULL;
	return fuse_session_new(args, op, op_size, user_data);
}

static inline struct fuse *fuse_service_new(struct fuse_args *args,
					    const struct fuse_operations *op, size_t op_size,
					    void *user_data)
{
	if (fuse_service_note_args(args) < 0)
		return NULL;
	return fuse_new(args, op, op_size, user_data);
}

#undef fuse_session_new
#define fuse_session_new(args, op, op_size, user_data)                                             \
	fuse_service_session_new(args, op, op_size, user_data)
#undef fuse_new
#define fuse_new(args, op, op_size, user_data) fuse_service_new(args, op, op_size, user_data)

#else /* no services on this platform: the server runs without one */

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"

static inline int fuse_service_accept(struct fuse_service **sfp)
{
	*sfp = NULL;
	return 0;
}

#define FUSE_SERVICE_STUB(type, value, name, ...)                                                  \
	static inline type name(__VA_ARGS__)                                                       \
	{                                                                                          \
		return value;                                                                      \
	}
#define FUSE_SERVICE_STUB_INT(name, ...) FUSE_SERVICE_STUB(int, -EOPNOTSUPP, name, __VA_ARGS__)

FUSE_SERVICE_STUB(bool, false, fuse_service_can_allow_other, const struct fuse_service *sf)
FUSE_SERVICE_STUB(bool, false, fuse_service_can_fuseblk, const struct fuse_service *sf)
FUSE_SERVICE_STUB_INT(fuse_service_append_args, struct fuse_service *sf, struct fuse_args *args)
FUSE_SERVICE_STUB(char *, NULL, fuse_service_cmdline, int argc, const char *const *argv,
		  struct fuse_args *args)
FUSE_SERVICE_STUB_INT(fuse_service_parse_cmdline_opts, struct fuse_args *args,
		      struct fuse_cmdline_opts *opts)
FUSE_SERVICE_STUB_INT(fuse_service_request_file, const struct fuse_service *sf, const char *path,
		      int open_flags, mode_t create_mode, unsigned int request_flags)
FUSE_SERVICE_STUB_INT(fuse_service_request_blockdev, const struct fuse_service *sf,
		      const char *path, int open_flags, mode_t create_mode,
		      unsigned int request_flags, unsigned int block_size)
FUSE_SERVICE_STUB_INT(fuse_service_receive_file, const struct fuse_service *sf, const char *path,
		      int *fdp)
FUSE_SERVICE_STUB_INT(fuse_service_finish_file_requests, const struct fuse_service *sf)
FUSE_SERVICE_STUB(void, (void)sf, fuse_service_expect_mount_format, struct fuse_service *sf,
		  mode_t expected_fmt)
FUSE_SERVICE_STUB_INT(fuse_service_session_mount, struct fuse_service *sf, struct fuse_session *se,
		      mode_t expected_fmt, struct fuse_cmdline_opts *opts)
FUSE_SERVICE_STUB_INT(fuse_service_session_unmount, struct fuse_service *sf)
FUSE_SERVICE_STUB_INT(fuse_service_send_goodbye, struct fuse_service *sf, int exitcode)
FUSE_SERVICE_STUB(void, (void)sf, fuse_service_release, struct fuse_service *sf)
FUSE_SERVICE_STUB(void, (void)sfp, fuse_service_destroy, struct fuse_service **sfp)
FUSE_SERVICE_STUB_INT(fuse_service_exit, int ret)
FUSE_SERVICE_STUB_INT(fuse_service_main, struct fuse_service *sf, struct fuse_args *args,
		      const struct fuse_operations *op, void *user_data)

#undef FUSE_SERVICE_STUB
#undef FUSE_SERVICE_STUB_INT
#pragma GCC diagnostic pop

#endif

#ifdef __cplusplus
}
#endif

#endif
