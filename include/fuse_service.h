/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuse_service.h: FUSE servers that run as contained services.
 *
 * A server linked to this library (pkg-config fsvc) is started by a service manager for each mount,
 * with one connection and no privileges. Over it, fuservicemount3, run by the person who mounts,
 * hands in the files that the command line names, and does the mounting.
 *
 *	fuse_service_accept(&service);			who calls?
 *	fuse_service_append_args(service, &args);	what was said on the command line?
 *	fuse_service_request_file(service, path, ...);	may I have this file?
 *	fuse_service_receive_file(service, path, &fd);
 *	fuse_service_finish_file_requests(service);
 *	fuse_service_session_mount(service, ...);	mount it, please
 *	fuse_service_send_goodbye(service, 0);		I serve: show it
 *
 * or, with the high-level API, fuse_service_main() for all but the files. test/servers/ has a whole
 * server for each of the two APIs.
 *
 * FUSE_USE_VERSION must be defined before, and may be 319: libfuse 3.19 has this interface itself.
 * Where not said otherwise, functions return 0 or a negative errno, and SF is not NULL.
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
 * libfuse before 3.19 compares FUSE_USE_VERSION with the versions in which its interface changed: a
 * number beyond them, such as 319, gets the newest that it has, and needs no other mapping.
 */
#include <fuse.h>
#include <fuse_lowlevel.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fuse_service;

/* In request_flags: the person is not told when the file cannot be opened. */
#define FUSE_SERVICE_REQUEST_FILE_QUIET (1U << 0)

/* Whether SF is a service, that is, whether fuse_service_accept() found a connection. */
static inline bool fuse_service_accepted(const struct fuse_service *sf)
{
	return sf != NULL;
}

#if defined(__linux__) && !defined(FUSE_SERVICE_STUBS)

/*
 * Takes the connection that a service manager passed on, as descriptor 3, does the handshake and
 * receives the command line and /dev/fuse. The connection is close-on-exec.
 * *sfp: the service, for fuse_service_destroy(); NULL, with 0 and without a message, where the
 * process was not started by socket activation, see sd_listen_fds(3).
 * Errors: -EINVAL for more than one descriptor; -ENOTSOCK, -EAFNOSUPPORT, -ENOBUFS for one that
 * cannot be the connection; -EPROTONOSUPPORT, -EBADMSG for a helper that does not speak the
 * protocol; -ETIMEDOUT after 30 s of silence; -ECONNRESET where the helper has gone.
 */
int fuse_service_accept(struct fuse_service **sfp);

/* Whether the person who mounts may use allow_other. */
bool fuse_service_can_allow_other(const struct fuse_service *sf);

/* Whether the person who mounts may mount the type fuseblk. */
bool fuse_service_can_fuseblk(const struct fuse_service *sf);

/*
 * Puts the helper's command line into ARGS, which begins as main's: afterwards args->argv[0] is the
 * subtype, then come the server's own arguments, then the helper's. fuse_opt_free_args() frees it.
 */
int fuse_service_append_args(struct fuse_service *sf, struct fuse_args *args);

/*
 * The command line as one would type it, for a process title: "ARGV0 -t SUBTYPE ARGS...". ARGC and
 * ARGV are main's, ARGS as fuse_service_append_args() left it.
 * Returns a string that the caller frees with free(3), or NULL.
 */
char *fuse_service_cmdline(int argc, const char *const *argv, struct fuse_args *args);

/*
 * As fuse_parse_cmdline(), but that the mountpoint is a string which is never looked at: a
 * contained server cannot see it. Options of the session stay in ARGS. opts->mountpoint is to be
 * freed. Returns 0 or -1.
 */
int fuse_service_parse_cmdline_opts(struct fuse_args *args, struct fuse_cmdline_opts *opts);

/* The same for a struct fuse_cmdline_opts of SIZE bytes: it has grown with libfuse 3.12. */
int fuse_service_parse_cmdline_sized(struct fuse_args *args, struct fuse_cmdline_opts *opts,
				     size_t size);
#define fuse_service_parse_cmdline_opts(args, opts)                                                \
	fuse_service_parse_cmdline_sized(args, opts, sizeof(*(opts)))

/*
 * Asks the helper to open PATH, spelled as on its command line, with OPEN_FLAGS (O_*).
 * CREATE_MODE is of no use as long as helpers create nothing. REQUEST_FLAGS:
 * FUSE_SERVICE_REQUEST_*. The answer must be fetched with fuse_service_receive_file() before the
 * next request.
 */
int fuse_service_request_file(const struct fuse_service *sf, const char *path, int open_flags,
			      mode_t create_mode, unsigned int request_flags);

/* The same for a block device, on which BLOCK_SIZE is set unless it is 0. */
int fuse_service_request_blockdev(const struct fuse_service *sf, const char *path, int open_flags,
				  mode_t create_mode, unsigned int request_flags,
				  unsigned int block_size);

/*
 * Fetches the answer to the request for PATH. *fdp: the descriptor, close-on-exec, which the caller
 * owns, or the negative errno with which the helper failed to open it. What is returned is about
 * the connection alone: -EBADMSG for an answer that is about another path.
 */
int fuse_service_receive_file(const struct fuse_service *sf, const char *path, int *fdp);

/* No more files are wanted: the kernel drops descriptors that come from here on (Linux 6.16). */
int fuse_service_finish_file_requests(const struct fuse_service *sf);

/* What the mountpoint must be, S_IFDIR or S_IFREG, where the calls below say 0. 0: either. */
void fuse_service_expect_mount_format(struct fuse_service *sf, mode_t expected_fmt);

/*
 * Binds the session SE to the helper's /dev/fuse and asks for the mount that the options say which
 * SE was made with. Requests of the kernel come from here on, people see the mount after a goodbye
 * of 0. The process changes to "/", opts->foreground is set: a service does not daemonize. Errors:
 * the helper's refusal as its errno; -EINVAL where SE was made without this header included.
 */
int fuse_service_session_mount(struct fuse_service *sf, struct fuse_session *se,
			       mode_t expected_fmt, struct fuse_cmdline_opts *opts);

/* Asks the helper to drop the mount, before the goodbye. */
int fuse_service_session_unmount(struct fuse_service *sf);

/*
 * Ends the connection: with EXITCODE 0 the helper shows the mount and succeeds, else it drops the
 * mount and fails. A second call does nothing.
 */
int fuse_service_send_goodbye(struct fuse_service *sf, int exitcode);

/* Closes what SF still has open. A session that was mounted keeps /dev/fuse. NULL is fine. */
void fuse_service_release(struct fuse_service *sf);

/* The same, frees *sfp and sets it to NULL. */
void fuse_service_destroy(struct fuse_service **sfp);

/*
 * What main returns after RET, 0 or 1 (LSB). Where the service manager could lose the last lines of
 * the log of a process that is gone, it waits until it cannot.
 */
int fuse_service_exit(int ret);

/*
 * The whole life of a server with the high-level API: reads ARGS, makes the filesystem of OP,
 * mounts it, says goodbye, serves until it is unmounted. The files must have been fetched before.
 * Returns 0 or what fuse_main() does.
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
 * libfuse keeps the mount options of a session to itself, and takes them out of ARGS. So the two
 * calls that make a session first show the library what they get. Outside of services this does
 * nothing.
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

#else /* no services on this platform: the same server runs when started by hand */

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
