/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The API of libfsvc, fuse_service.h: libfuse on one side, the service protocol on the other.
 * Errors are logged with fuse_log().
 */
#define FUSE_USE_VERSION 319

#include "fuse_service.h"

#include "base/cleanup.h"
#include "protocol/mount_args.h"
#include "protocol/service.h"
#include "protocol/wire.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct fuse_service {
	struct service *service;
	mode_t mountpoint_format; /* required type of the mountpoint, or 0 */
	struct options *noted;    /* options of the last session that was created, or NULL */
};

/*
 * fuse_session_new() and fuse_new() have no argument for the service. There can be only one in a
 * process, since there is only one file descriptor 3.
 */
static struct fuse_service *accepted;

/* true once a connection was accepted: then a service manager reads the output */
static bool is_service;

int fuse_service_accept(struct fuse_service **sfp)
{
	struct fuse_service *sf;
	struct service *service;
	int error;

	*sfp = NULL;
	error = service_accept(&service);
	if (error < 0)
		fuse_log(FUSE_LOG_ERR, "fuse service: no connection to a mount helper: %s\n",
			 strerror(-error));
	if (error < 0 || !service)
		return error;
	sf = calloc(1, sizeof(*sf));
	if (!sf) {
		service_free(service);
		return -ENOMEM;
	}
	sf->service = service;
	*sfp = accepted = sf;
	is_service = true;
	return 0;
}

bool fuse_service_can_allow_other(const struct fuse_service *sf)
{
	return sf->service->granted & WIRE_HELLO_ALLOW_OTHER;
}

bool fuse_service_can_fuseblk(const struct fuse_service *sf)
{
	return sf->service->granted & WIRE_HELLO_FUSEBLK;
}

static int add_args(struct fuse_args *args, int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (fuse_opt_add_arg(args, argv[i]) < 0)
			return -ENOMEM;
	return 0;
}

int fuse_service_append_args(struct fuse_service *sf, struct fuse_args *args)
{
	struct fuse_args joined = FUSE_ARGS_INIT(0, NULL);
	int error = add_args(&joined, 1, sf->service->argv);

	if (error >= 0 && args->argc > 1)
		error = add_args(&joined, args->argc - 1, args->argv + 1);
	if (error >= 0)
		error = add_args(&joined, sf->service->argc - 1, sf->service->argv + 1);
	if (error < 0) {
		fuse_opt_free_args(&joined);
		return error;
	}
	fuse_opt_free_args(args);
	*args = joined;
	return 0;
}

char *fuse_service_cmdline(int argc, const char *const *argv, struct fuse_args *args)
{
	char *line = NULL;
	size_t size = 0;
	FILE *out;

	if (argc < 1 || args->argc < 1)
		return NULL;
	out = open_memstream(&line, &size);
	if (!out)
		return NULL;
	fprintf(out, "%s -t %s", argv[0], args->argv[0]);
	for (int i = 1; i < args->argc; i++)
		fprintf(out, " %s", args->argv[i]);
	if (fclose(out) != 0) {
		free(line);
		return NULL;
	}
	return line;
}

/* Remove the operand, which is neither an option nor its value, from ARGS. */
static int take_mountpoint(struct fuse_args *args, char **mountpointp)
{
	int kept = 0, error = 0;

	*mountpointp = NULL;
	for (int i = 0; i < args->argc; i++) {
		bool is_value = i > 0 && strcmp(args->argv[i - 1], "-o") == 0;
		bool is_operand = i > 0 && !is_value && args->argv[i][0] != '-';

		if (is_operand && !*mountpointp) {
			*mountpointp = args->argv[i];
			continue;
		}
		if (is_operand) {
			fuse_log(FUSE_LOG_ERR, "fuse service: extra operand '%s'\n", args->argv[i]);
			error = -EINVAL;
		}
		args->argv[kept++] = args->argv[i];
	}
	args->argc = kept;
	args->argv[kept] = NULL;
	return error;
}

int fuse_service_parse_cmdline_sized(struct fuse_args *args, struct fuse_cmdline_opts *opts,
				     size_t size)
{
	_cleanup_free_ char *mountpoint = NULL;
	struct fuse_cmdline_opts parsed;
	struct fuse_args copy = FUSE_ARGS_INIT(0, NULL);

	if (args->argc < 1) {
		fuse_log(FUSE_LOG_ERR, "fuse service: missing program name in the arguments\n");
		return -1;
	}
	/*
	 * fuse_parse_cmdline() would resolve the mountpoint, which does not exist in the sandbox.
	 */
	if (add_args(&copy, args->argc, args->argv) < 0 ||
	    take_mountpoint(&copy, &mountpoint) < 0 || fuse_parse_cmdline(&copy, &parsed) != 0) {
		fuse_opt_free_args(&copy);
		return -1;
	}
	fuse_opt_free_args(args);
	*args = copy;
	free(parsed.mountpoint);
	parsed.mountpoint = take_pointer(mountpoint);
	memcpy(opts, &parsed, size < sizeof(parsed) ? size : sizeof(parsed));
	return 0;
}

#undef fuse_service_parse_cmdline_opts
int fuse_service_parse_cmdline_opts(struct fuse_args *args, struct fuse_cmdline_opts *opts)
{
	return fuse_service_parse_cmdline_sized(args, opts, sizeof(*opts));
}

int fuse_service_request_file(const struct fuse_service *sf, const char *path, int open_flags,
			      mode_t create_mode, unsigned int request_flags)
{
	return service_request_file(sf->service, path, (uint32_t)open_flags, create_mode,
				    request_flags);
}

int fuse_service_request_blockdev(const struct fuse_service *sf, const char *path, int open_flags,
				  mode_t create_mode, unsigned int request_flags,
				  unsigned int block_size)
{
	return service_request_block_device(sf->service, path, (uint32_t)open_flags, create_mode,
					    request_flags, block_size);
}

int fuse_service_receive_file(const struct fuse_service *sf, const char *path, int *fdp)
{
	return service_receive_file(sf->service, path, fdp);
}

int fuse_service_finish_file_requests(const struct fuse_service *sf)
{
	return service_refuse_descriptors(sf->service);
}

void fuse_service_expect_mount_format(struct fuse_service *sf, mode_t expected_fmt)
{
	sf->mountpoint_format = expected_fmt;
}

static void free_options(struct fuse_service *sf)
{
	if (sf->noted)
		options_free(sf->noted);
	free(sf->noted);
	sf->noted = NULL;
}

/* Add the options of LIST for libfuse to ARGS, without those for the helper. */
static int pass_options(const char *list, struct fuse_args *args)
{
	_cleanup_free_ char *passed = NULL;

	for (const char *cursor = list;;) {
		_cleanup_free_ char *option = NULL;
		int more = options_next(&cursor, &option);
		enum option_class class;

		if (more < 0)
			return more;
		if (more == 0)
			break;
		class = option_find_rule(option)->class;
		if (class != OPTION_FLAG && class != OPTION_TABLE && class != OPTION_HELPER &&
		    options_add(&passed, option) < 0)
			return -ENOMEM;
	}
	if (!passed)
		return 0;
	return fuse_opt_add_arg(args, "-o") < 0 || fuse_opt_add_arg(args, passed) < 0 ? -ENOMEM : 0;
}

/* Parse the options in ARGS into NOTED and leave the arguments for libfuse in PASSED. */
static int parse_args(const struct fuse_args *args, struct options *noted, struct fuse_args *passed)
{
	int error = 0;

	for (int i = 0; i < args->argc && error >= 0; i++) {
		const char *argument = args->argv[i], *list = NULL;

		if (i > 0 && strncmp(argument, "-o", 2) == 0)
			list = argument[2] ? argument + 2
					   : (i + 1 < args->argc ? args->argv[++i] : "");
		else if (i > 0 && strcmp(argument, "-r") == 0)
			list = "ro";
		if (list) {
			error = options_parse(list, noted);
			if (error >= 0)
				error = pass_options(list, passed);
		} else if (i > 0 && strcmp(argument, "-n") == 0) {
			error = options_add(&noted->table, argument);
		} else {
			error = fuse_opt_add_arg(passed, argument) < 0 ? -ENOMEM : 0;
		}
	}
	return error;
}

int fuse_service_note_args(struct fuse_args *args)
{
	struct fuse_args passed = FUSE_ARGS_INIT(0, NULL);
	int error;

	if (!accepted)
		return 0;
	free_options(accepted);
	accepted->noted = calloc(1, sizeof(*accepted->noted));
	if (!accepted->noted)
		return -ENOMEM;
	error = parse_args(args, accepted->noted, &passed);
	if (error < 0) {
		free_options(accepted);
		fuse_opt_free_args(&passed);
		return error;
	}
	fuse_opt_free_args(args);
	*args = passed;
	return 0;
}

/* Bind the session to /dev/fuse. The session closes it. */
static int bind_session(struct service *service, struct fuse_session *se)
{
	char path[sizeof("/dev/fd/") + 10];

	if (service->fusedev < 0)
		return -EBADF;
	snprintf(path, sizeof(path), "/dev/fd/%d", service->fusedev);
	if (fuse_session_mount(se, path) != 0)
		return -EIO;
	service->fusedev = -1;
	return 0;
}

static int request_mount(struct service *service, const struct service_mount *mount)
{
	const char *refused;
	int error = service_request_mount(service, mount, &refused);

	if (error < 0 && refused)
		fuse_log(FUSE_LOG_ERR, "fuse service: mount request %s refused by the helper: %s\n",
			 refused, strerror(-error));
	return error;
}

int fuse_service_session_mount(struct fuse_service *sf, struct fuse_session *se,
			       mode_t expected_fmt, struct fuse_cmdline_opts *opts)
{
	struct service_mount mount = { .mountpoint = opts->mountpoint,
				       .mountpoint_format = expected_fmt ? expected_fmt
									 : sf->mountpoint_format };
	struct mount_args args;
	const char *invalid;
	int error;

	if (!sf->noted || !opts->mountpoint) {
		fuse_log(
			FUSE_LOG_ERR, "fuse service: %s\n",
			sf->noted
				? "missing mountpoint"
				: "the source file that creates the session must include fuse_service.h");
		return -EINVAL;
	}
	mount.fuseblk = sf->noted->blkdev;
	mount.kernel_options = sf->noted->kernel;
	mount.table_options = sf->noted->table;
	mount.flags = (uint32_t)sf->noted->flags;

	error = mount_args_parse(sf->service->argc, (const char *const *)sf->service->argv, &args,
				 &invalid);
	if (error >= 0) {
		mount.source = sf->noted->fsname ? sf->noted->fsname : args.source;
		if (!mount.source)
			mount.source = sf->service->argv[0];
		error = bind_session(sf->service, se);
	}
	if (error >= 0)
		error = request_mount(sf->service, &mount);
	mount_args_free(&args);
	if (error < 0)
		return error;
	opts->foreground = 1;
	return chdir("/") < 0 ? -errno : 0;
}

int fuse_service_session_unmount(struct fuse_service *sf)
{
	return service_request_unmount(sf->service);
}

int fuse_service_send_goodbye(struct fuse_service *sf, int exitcode)
{
	return service_send_goodbye(sf->service, (uint32_t)exitcode);
}

void fuse_service_release(struct fuse_service *sf)
{
	if (!sf)
		return;
	service_close(sf->service);
	free_options(sf);
	if (accepted == sf)
		accepted = NULL;
}

void fuse_service_destroy(struct fuse_service **sfp)
{
	if (!sfp)
		return;
	fuse_service_release(*sfp);
	if (*sfp)
		service_free((*sfp)->service);
	free(*sfp);
	*sfp = NULL;
}

/*
 * Return true if standard error is the socket of the journal, which needs no delay; see
 * JOURNAL_STREAM in systemd.exec(5).
 */
static bool logs_to_journal(const struct stat *log)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       device == (unsigned long long)log->st_dev &&
	       inode == (unsigned long long)log->st_ino;
}

int fuse_service_exit(int ret)
{
	const struct timespec time_to_read = { .tv_sec = 2 };
	struct stat log;

	fflush(NULL);
	/*
	 * The reader of a socket may look up the sender by its process ID, and the sender must
	 * still exist. A file, pipe or terminal does not need this.
	 */
	if (is_service && fstat(STDERR_FILENO, &log) == 0 && S_ISSOCK(log.st_mode) &&
	    !logs_to_journal(&log))
		nanosleep(&time_to_read, NULL);
	return ret == 0 ? 0 : 1;
}
