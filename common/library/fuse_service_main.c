/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A service with libfuse's high-level API, from the parsing of arguments to the unmount, like
 * fuse_main().
 */
#define FUSE_USE_VERSION 319

#include "fuse_service.h"

#include "base/array.h"
#include "base/interrupt.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* The results of fuse_main(), see fuse.h. */
enum {
	SERVED = 0,
	BAD_ARGUMENTS = 1,
	NO_FILESYSTEM = 3,
	NOT_MOUNTED = 4,
	NO_SIGNAL_HANDLERS = 6,
	LOOP_FAILED = 7,
};

static int serve(struct fuse *fuse, const struct fuse_cmdline_opts *opts)
{
	if (opts->singlethread)
		return fuse_loop(fuse);
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 12)
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int error;

	if (!config)
		return -ENOMEM;
	fuse_loop_cfg_set_clone_fd(config, (unsigned int)opts->clone_fd);
	/*
	 * Do not pass on libfuse's default, UINT_MAX: libfuse 3.12 and later print a warning for
	 * it.
	 */
	if (opts->max_idle_threads != UINT_MAX)
		fuse_loop_cfg_set_idle_threads(config, opts->max_idle_threads);
	fuse_loop_cfg_set_max_threads(config, opts->max_threads);
	error = fuse_loop_mt(fuse, config);
	fuse_loop_cfg_destroy(config);
	return error;
#else
	struct fuse_loop_config config = { .clone_fd = opts->clone_fd,
					   .max_idle_threads = opts->max_idle_threads };

	return fuse_loop_mt(fuse, &config);
#endif
}

/*
 * Ignore signals while the filesystem writes back its data. libfuse would restore the default
 * actions first, and SIGTERM from the service manager would kill the server during that.
 */
static void ignore_signals(void)
{
	static const int numbers[] = { INTERRUPT_SIGNALS };

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		signal(numbers[i], SIG_IGN);
}

/* Mount FUSE and serve it until it is unmounted. */
static int mount_and_serve(struct fuse_service *sf, struct fuse *fuse,
			   struct fuse_cmdline_opts *opts)
{
	struct fuse_session *se = fuse_get_session(fuse);
	int result = NOT_MOUNTED;

	if (fuse_set_signal_handlers(se) != 0)
		return NO_SIGNAL_HANDLERS;
	if (fuse_service_session_mount(sf, se, 0, opts) == 0 &&
	    fuse_service_send_goodbye(sf, 0) == 0) {
		/* A positive result is the signal that ended the loop: a clean exit. */
		result = serve(fuse, opts) >= 0 ? SERVED : LOOP_FAILED;
		ignore_signals();
	}
	fuse_remove_signal_handlers(se);
	return result;
}

int fuse_service_main_sized(struct fuse_service *sf, struct fuse_args *args,
			    const struct fuse_operations *op, size_t op_size, void *user_data)
{
	struct fuse_cmdline_opts opts = { 0 };
	struct fuse *fuse = NULL;
	int result = BAD_ARGUMENTS;

	if (fuse_service_parse_cmdline_opts(args, &opts) == 0 && opts.mountpoint) {
		fuse = fuse_new(args, op, op_size, user_data);
		result = fuse ? mount_and_serve(sf, fuse, &opts) : NO_FILESYSTEM;
	} else {
		fuse_log(FUSE_LOG_ERR, "fuse service: missing source or mountpoint\n");
	}
	/* Does nothing if a goodbye was sent already. */
	fuse_service_send_goodbye(sf, result);
	if (fuse)
		fuse_destroy(fuse);
	free(opts.mountpoint);
	return result;
}
