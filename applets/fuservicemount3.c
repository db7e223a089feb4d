/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuservicemount3: the mount helper. It mounts through a service, which gets only the files that
 * the command line names. Its exit statuses are enum helper_exit_status.
 */
#include "applet.h"
#include "base/diag.h"
#include "helper/mount_request.h"

#include <errno.h>
#include <string.h>

static const char help[] =
	"Usage: fuservicemount3 SOURCE MOUNTPOINT -t TYPE [-o OPTIONS] [SERVER-ARGUMENT]...\n"
	"       fuservicemount3 -t TYPE --check\n"
	"\n"
	"Mount SOURCE on MOUNTPOINT through the service for TYPE, a sandboxed FUSE server. The\n"
	"service gets only the files that this command line names.\n"
	"\n"
	"Options:\n"
	"  -t TYPE        filesystem type: NAME, fuse.NAME or fuseblk.NAME\n"
	"  -o OPTIONS     comma-separated mount options: those of mount(8) and of the server, and\n"
	"                 fsvc.timeout=SECONDS: time limit for the mount (default: 90);\n"
	"                 fsvc.file=PATH: another file for the server, in addition to SOURCE\n"
	"  -r, -w         same as -o ro, -o rw\n"
	"  -n             do not write to the mount table of user space (utab)\n"
	"  --check        exit with 0 if a service for TYPE exists that you may use, else with 1\n"
	"  --help         print this help and exit\n"
	"  --version      print the version and exit\n"
	"\n"
	"All other arguments are for the server, which gets this command line without -t.\n"
	"\n"
	"Exit status: 0 mounted; 1 failed, nothing is mounted; 2 no service for TYPE.\n";

/* Remove --check from the arguments, since it is not for the server. Return true if it was there.
 */
static bool take_check(int *argc, char **argv)
{
	int kept = 1;

	for (int i = 1; i < *argc; i++)
		if (strcmp(argv[i], "--check") != 0 || strcmp(argv[i - 1], "-o") == 0)
			argv[kept++] = argv[i];
	if (kept == *argc)
		return false;
	argv[kept] = NULL;
	*argc = kept;
	return true;
}

static int parse_arguments(int argc, char **argv, struct mount_args *args)
{
	const char *invalid = NULL;
	int error = mount_args_parse(argc, (const char *const *)argv, args, &invalid);

	if (error == -EINVAL)
		diag_usage_error("option '%s' requires an argument", invalid);
	else if (error == -EEXIST)
		diag_usage_error("option '-t' given more than once");
	else if (error == -E2BIG)
		diag_usage_error("extra operand '%s'", invalid);
	else if (error < 0)
		diag_error("%s", error == -ENOMEM ? "out of memory" : strerror(-error));
	else if (!args->type)
		diag_usage_error("missing option '-t'");
	else
		return 0;
	return -EINVAL;
}

/* Check the arguments for a mount. */
static int check_arguments(const struct mount_args *args)
{
	if (!args->subtype)
		diag_usage_error("invalid filesystem type '%s'", args->type);
	else if (!args->source)
		diag_usage_error("missing operand");
	else if (!args->mountpoint)
		diag_usage_error("missing operand after '%s'", args->source);
	else
		return 0;
	return -EINVAL;
}

static int check_service(const struct mount_args *args)
{
	return args->subtype && mount_request_has_service(args->subtype) > 0 ? HELPER_EXIT_MOUNTED
									     : HELPER_EXIT_FAILED;
}

static int run(int argc, char **argv)
{
	_cleanup_mount_args_ struct mount_args args = { 0 };
	bool only_check = take_check(&argc, argv);

	if (parse_arguments(argc, argv, &args) < 0)
		return HELPER_EXIT_FAILED;
	if (only_check)
		return check_service(&args);
	if (check_arguments(&args) < 0)
		return HELPER_EXIT_FAILED;
	return mount_request_run(&args, false);
}

const struct applet applet_fuservicemount3 = {
	.name = "fuservicemount3",
	.run = run,
	.mounts = true,
	.summary = "mount a filesystem through a sandboxed service",
	.help = help,
};
