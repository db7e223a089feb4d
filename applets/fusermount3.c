/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fusermount3: replaces libfuse's program in the sandbox, for servers that run it to mount: those
 * of Go libraries, and of libfuse if mount(2) is refused. It has the server's rights. In the
 * sandbox these are not enough to mount, and fsvc-open answers its system calls like those of the
 * server. Outside the sandbox it can do only what its caller could do.
 */
#include "applet.h"
#include "base/cleanup.h"
#include "base/diag.h"
#include "base/new_mount_api.h"
#include "base/options.h"
#include "config.h"
#include "protocol/channel.h"

#include "base/parse.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

/*
 * The environment variable with the number of the socket on which the server waits for /dev/fuse.
 */
#define SOCKET_VARIABLE "_FUSE_COMMFD"

/* Flags of umount2(2). <sys/mount.h> conflicts with the kernel's header in some C libraries. */
#define UMOUNT_LAZY       2
#define UMOUNT_NO_SYMLINK 8 /* UMOUNT_NOFOLLOW */

static const char help[] =
	"Usage: fusermount3 [-o OPTIONS] [--] MOUNTPOINT\n"
	"       fusermount3 -u [-z] [-q] [--] MOUNTPOINT\n"
	"\n"
	"Mount or unmount for a FUSE server that fsvc-open runs in the sandbox. Only such servers\n"
	"run this program. It has no privileges and needs none.\n"
	"\n"
	"Options:\n"
	"  -o OPTIONS       comma-separated mount options\n"
	"  -u, --unmount    unmount; in a service this is left to the caller of the mount\n"
	"  -z, --lazy       with -u: detach now, unmount when no longer busy\n"
	"  -q, --quiet      with -u: suppress messages\n"
	"  --auto-unmount   do nothing: the mount of a service ends with its server\n"
	"  --help           print this help and exit\n"
	"  -V, --version    print the version and exit\n"
	"\n"
	"Exit status: 0 success; 1 failure.\n";

struct parsed_args {
	char *options; /* comma-separated, or NULL */
	const char *mountpoint;
	bool unmount, lazy, quiet, auto_unmount, version;
};

static const struct option long_options[] = {
	{ "unmount", no_argument, NULL, 'u' },      { "lazy", no_argument, NULL, 'z' },
	{ "quiet", no_argument, NULL, 'q' },        { "version", no_argument, NULL, 'V' },
	{ "auto-unmount", no_argument, NULL, 'U' }, { 0 },
};

static void parsed_args_free(struct parsed_args *args)
{
	free(args->options);
}

#define _cleanup_parsed_args_ __attribute__((cleanup(parsed_args_free)))

static int set_option(struct parsed_args *args, int option, char **argv)
{
	switch (option) {
	case 'o':
		return options_add_unescaped(&args->options, optarg);
	case 'u':
		args->unmount = true;
		return 0;
	case 'z':
		args->lazy = true;
		return 0;
	case 'q':
		args->quiet = true;
		return 0;
	case 'U':
		args->auto_unmount = true;
		return 0;
	case 'V':
		args->version = true;
		return 0;
	}
	diag_getopt_error(option, argv);
	return -EINVAL;
}

/* Options may also follow the mountpoint: Go libraries differ in the order. */
static int parse_arguments(int argc, char **argv, struct parsed_args *args)
{
	int option, error = 0;

	opterr = 0;
	while (error == 0 &&
	       (option = getopt_long(argc, argv, ":o:uzqUV", long_options, NULL)) >= 0)
		error = set_option(args, option, argv);
	if (error < 0)
		return error;
	if (optind + 1 != argc && !args->version) {
		if (optind < argc)
			diag_usage_error("extra operand '%s'", argv[optind + 1]);
		else
			diag_usage_error("missing operand");
		return -EINVAL;
	}
	args->mountpoint = argv[optind];
	return 0;
}

/* Return the server's socket, or a negative errno. */
static int find_socket(void)
{
	const char *text = getenv(SOCKET_VARIABLE);
	unsigned int number;

	if (!text) {
		diag_error(
			"%s: environment variable not set: only FUSE servers can run this program",
			SOCKET_VARIABLE);
		return -EINVAL;
	}
	if (parse_number(text, INT_MAX, &number) < 0) {
		diag_error("%s: invalid file descriptor '%s'", SOCKET_VARIABLE, text);
		return -EBADF;
	}
	return (int)number;
}

/* Mount the filesystem that is served on DEVICE. */
static int mount_device(const struct parsed_args *args, int device)
{
	_cleanup_options_ struct options options = { .flags = MS_NOSUID | MS_NODEV };
	_cleanup_free_ char *data = NULL;
	struct stat status;
	int error = options_parse(args->options, &options);

	if (error < 0)
		return error;
	if (stat(args->mountpoint, &status) < 0)
		return -errno;
	if (asprintf(&data, "fd=%d,rootmode=%o,user_id=%u,group_id=%u%s%s", device,
		     status.st_mode & S_IFMT, getuid(), getgid(), options.kernel ? "," : "",
		     options.kernel ? options.kernel : "") < 0)
		return -ENOMEM;
	return new_mount_api_mount(options.fsname ? options.fsname : FUSE_DEVICE, args->mountpoint,
				   "fuse", options.flags, data) < 0
		       ? -errno
		       : 0;
}

static int mount_for_server(const struct parsed_args *args)
{
	_cleanup_close_ int device = -1;
	int socket = find_socket(), error;

	if (socket < 0)
		return socket;
	device = open(FUSE_DEVICE, O_RDWR | O_CLOEXEC);
	if (device < 0) {
		error = -errno;
		diag_error(FUSE_DEVICE ": cannot open: %s", strerror(-error));
		return error;
	}
	error = mount_device(args, device);
	if (error < 0) {
		diag_error("%s: cannot mount: %s", args->mountpoint, strerror(-error));
		return error;
	}
	error = channel_send_fd(socket, device);
	if (error < 0) {
		diag_error(FUSE_DEVICE ": cannot send to the server: %s", strerror(-error));
		(void)syscall(SYS_umount2, args->mountpoint, UMOUNT_NO_SYMLINK | UMOUNT_LAZY);
	}
	return error;
}

static int unmount(const struct parsed_args *args)
{
	int error;

	if (syscall(SYS_umount2, args->mountpoint,
		    UMOUNT_NO_SYMLINK | (args->lazy ? UMOUNT_LAZY : 0)) == 0)
		return 0;
	error = -errno;
	if (!args->quiet)
		diag_error("%s: cannot unmount: %s", args->mountpoint, strerror(-error));
	return error;
}

static int run(int argc, char **argv)
{
	_cleanup_parsed_args_ struct parsed_args args = { 0 };
	int error = parse_arguments(argc, argv, &args);

	/*
	 * Allow fsvc-open to read the arguments of system calls. main() makes the process
	 * undumpable for applets with privileges; this one has dropped them.
	 */
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (error < 0)
		return 1;
	if (args.version)
		printf("fsvc %s\n", PROJECT_VERSION);
	else if (args.unmount)
		error = unmount(&args);
	else if (!args.auto_unmount)
		error = mount_for_server(&args);
	return error < 0 ? 1 : 0;
}

static const char *const aliases[] = { "fusermount", NULL };

const struct applet applet_fusermount3 = {
	.name = "fusermount3",
	.aliases = aliases,
	.run = run,
	.mounts = false,
	.summary = "mount for servers that run under fsvc-open",
	.help = help,
};
