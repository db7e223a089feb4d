/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fusermount3: stands in for the program of that name before servers that let it mount: Go's do,
 * and libfuse where mount(2) is refused. It makes the system calls of such a server with the rights
 * that the server has, which in the sandbox are none: fsvc-open answers them, as it does the
 * server's own. Whoever calls it elsewhere gets what these calls give him.
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

/* Where the server waits for the descriptor of /dev/fuse: the number of a socket. */
#define SOCKET_VARIABLE "_FUSE_COMMFD"

/* Of umount2(2); <sys/mount.h> does not go together with the kernel's header everywhere. */
#define UMOUNT_LAZILY  2
#define UMOUNT_PLAINLY 8 /* UMOUNT_NOFOLLOW */

static const char help[] =
	"Usage: fusermount3 [-o OPTIONS] [--] MOUNTPOINT\n"
	"       fusermount3 -u [-z] [-q] [--] MOUNTPOINT\n"
	"\n"
	"Not for you: for FUSE servers that fsvc-open runs. Those that do not mount by themselves "
	"call a\n"
	"program of this name, and find this one. It has no privilege, and needs none there.\n"
	"\n"
	"Options:\n"
	"  -o OPTIONS       mount options, separated by commas\n"
	"  -u, --unmount    unmount: in a service this is left to who has mounted\n"
	"  -z, --lazy       the same, while it is in use\n"
	"  -q, --quiet      do not say why it failed\n"
	"  --auto-unmount   does nothing: the mount of a service ends with its server anyway\n"
	"  --help           this text\n"
	"  -V, --version    the version\n"
	"\n"
	"Exit code: 0 done; 1 failed.\n";

struct arguments {
	char *options; /* a list, or NULL */
	const char *mountpoint;
	bool unmount, lazy, quiet, guard, version;
};

static const struct option long_options[] = {
	{ "unmount", no_argument, NULL, 'u' },      { "lazy", no_argument, NULL, 'z' },
	{ "quiet", no_argument, NULL, 'q' },        { "version", no_argument, NULL, 'V' },
	{ "auto-unmount", no_argument, NULL, 'U' }, { 0 },
};

static void arguments_free(struct arguments *arguments)
{
	free(arguments->options);
}

#define _cleanup_arguments_ __attribute__((cleanup(arguments_free)))

static int take_option(struct arguments *arguments, int option)
{
	switch (option) {
	case 'o':
		return options_add_unescaped(&arguments->options, optarg);
	case 'u':
		arguments->unmount = true;
		return 0;
	case 'z':
		arguments->lazy = true;
		return 0;
	case 'q':
		arguments->quiet = true;
		return 0;
	case 'U':
		arguments->guard = true;
		return 0;
	case 'V':
		arguments->version = true;
		return 0;
	}
	return -EINVAL; /* getopt has said what */
}

/* Options stand before or behind the mountpoint: Go's libraries do not agree. */
static int parse(int argc, char **argv, struct arguments *arguments)
{
	int option, error = 0;

	while (error == 0 && (option = getopt_long(argc, argv, "o:uzqUV", long_options, NULL)) >= 0)
		error = take_option(arguments, option);
	if (error < 0)
		return error;
	if (optind + 1 != argc && !arguments->version) {
		diag_error("%s mountpoint: see --help", optind < argc ? "more than one" : "no");
		return -EINVAL;
	}
	arguments->mountpoint = argv[optind];
	return 0;
}

/* The socket that the server waits at, or a negative errno. */
static int find_socket(void)
{
	const char *text = getenv(SOCKET_VARIABLE);
	unsigned int number;

	if (!text) {
		diag_error("no %s in the environment: this is for FUSE servers to call",
			   SOCKET_VARIABLE);
		return -EINVAL;
	}
	if (parse_number(text, INT_MAX, &number) < 0) {
		diag_error("%s is '%s', which is no descriptor", SOCKET_VARIABLE, text);
		return -EBADF;
	}
	return (int)number;
}

/* Mounts what DEVICE serves. */
static int mount_device(const struct arguments *arguments, int device)
{
	_cleanup_options_ struct options options = { .flags = MS_NOSUID | MS_NODEV };
	_cleanup_free_ char *data = NULL;
	struct stat status;
	int error = options_parse(arguments->options, &options);

	if (error < 0)
		return error;
	if (stat(arguments->mountpoint, &status) < 0)
		return -errno;
	if (asprintf(&data, "fd=%d,rootmode=%o,user_id=%u,group_id=%u%s%s", device,
		     status.st_mode & S_IFMT, getuid(), getgid(), options.kernel ? "," : "",
		     options.kernel ? options.kernel : "") < 0)
		return -ENOMEM;
	return new_mount_api_mount(options.fsname ? options.fsname : FUSE_DEVICE,
				   arguments->mountpoint, "fuse", options.flags, data) < 0
		       ? -errno
		       : 0;
}

static int mount_for_server(const struct arguments *arguments)
{
	_cleanup_close_ int device = -1;
	int socket = find_socket(), error;

	if (socket < 0)
		return socket;
	device = open(FUSE_DEVICE, O_RDWR | O_CLOEXEC);
	if (device < 0) {
		error = -errno;
		diag_error("cannot open " FUSE_DEVICE ": %s", strerror(-error));
		return error;
	}
	error = mount_device(arguments, device);
	if (error < 0) {
		diag_error("cannot mount on %s: %s", arguments->mountpoint, strerror(-error));
		return error;
	}
	error = channel_send_fd(socket, device);
	if (error < 0) {
		diag_error("cannot hand over " FUSE_DEVICE ": %s", strerror(-error));
		(void)syscall(SYS_umount2, arguments->mountpoint, UMOUNT_PLAINLY | UMOUNT_LAZILY);
	}
	return error;
}

static int unmount(const struct arguments *arguments)
{
	int error;

	if (syscall(SYS_umount2, arguments->mountpoint,
		    UMOUNT_PLAINLY | (arguments->lazy ? UMOUNT_LAZILY : 0)) == 0)
		return 0;
	error = -errno;
	if (!arguments->quiet)
		diag_error("cannot unmount %s: %s", arguments->mountpoint, strerror(-error));
	return error;
}

static int run(int argc, char **argv)
{
	_cleanup_arguments_ struct arguments arguments = { 0 };
	int error = parse(argc, argv, &arguments);

	/* fsvc-open reads from here what the calls point to. main forbids that, for the sake of
	 * applets that have something to hide: this one has given up all privileges. */
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (error < 0)
		return 1;
	if (arguments.version)
		printf("fsvc %s\n", PROJECT_VERSION);
	else if (arguments.unmount)
		error = unmount(&arguments);
	else if (!arguments.guard)
		error = mount_for_server(&arguments);
	return error < 0 ? 1 : 0;
}

/* By its older name too. */
static const char *const aliases[] = { "fusermount", NULL };

const struct applet applet_fusermount3 = {
	.name = "fusermount3",
	.aliases = aliases,
	.run = run,
	.mounts = false,
	.summary = "what servers under fsvc-open call to mount; not for you",
	.help = help,
};
