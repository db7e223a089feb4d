/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuservicemount3: the mount helper. Mounts through a service, with nothing for the service but
 * what the command line names.
 */
#include "applet.h"
#include "base/diag.h"
#include "helper/mount_request.h"

#include <errno.h>
#include <string.h>

/* The exit codes are the values of enum helper_exit_status. */

static const char help[] =
	"Usage: fuservicemount3 SOURCE MOUNTPOINT -t TYPE [-o OPTIONS] [SERVER'S ARGUMENTS]\n"
	"       fuservicemount3 -t TYPE --check\n"
	"\n"
	"Mounts SOURCE on MOUNTPOINT through the service for TYPE, a FUSE server that runs "
	"contained:\n"
	"it gets the files that this command line names, and nothing else.\n"
	"\n"
	"Options:\n"
	"  -t TYPE        the filesystem's type: NAME, fuse.NAME or fuseblk.NAME\n"
	"  -o OPTIONS     mount options, separated by commas: what mount(8) knows, the server's, "
	"and\n"
	"                 fsvc.timeout=SECONDS for the whole mount (90 unless given),\n"
	"                 fsvc.file=PATH for a file that the server needs beside SOURCE\n"
	"  -r, -w         the same as -o ro, -o rw\n"
	"  -n             keep no entry in user space's mount table\n"
	"  --check        exit with 0 if there is a service for TYPE that you may use, else with "
	"1\n"
	"  --help         this text\n"
	"  --version      the version\n"
	"\n"
	"Anything else is for the server, whose command line this is without -t.\n"
	"\n"
	"Exit code: 0 mounted; 1 failed, and nothing is mounted; 2 there is no service for TYPE.\n";

/* Takes --check out of the command line: it is said to the helper alone. */
static bool take_check(int *argc, char **argv)
{
	int kept = 1;

	for (int i = 1; i < *argc; i++)
		if (strcmp(argv[i], "--check") != 0 || strcmp(argv[i - 1], "-o") == 0)
			argv[kept++] = argv[i];
	if (kept == *argc)
		return false;
	argv[ *argc = kept] = NULL;
	return true;
}

static int parse(int argc, char **argv, struct mount_args *args)
{
	const char *wrong = NULL;
	int error = mount_args_parse(argc, (const char *const *)argv, args, &wrong);

	if (error == -EINVAL)
		diag_error("misplaced, or without its value: %s; see --help", wrong);
	else if (error < 0)
		diag_error("%s", strerror(-error));
	else if (!args->type)
		diag_error("no type: use -t TYPE; see --help");
	else
		return 0;
	return -EINVAL;
}

static int check(const struct mount_args *args)
{
	return args->subtype && mount_request_has_service(args->subtype) > 0 ? HELPER_EXIT_MOUNTED
									     : HELPER_EXIT_FAILED;
}

static int run(int argc, char **argv)
{
	_cleanup_mount_args_ struct mount_args args = { 0 };
	bool only_check = take_check(&argc, argv);

	if (parse(argc, argv, &args) < 0)
		return HELPER_EXIT_FAILED;
	if (only_check)
		return check(&args);
	if (!args.subtype) {
		diag_error("'%s' is no filesystem type", args.type);
		return HELPER_EXIT_FAILED;
	}
	if (!args.source || !args.mountpoint) {
		diag_error("no %s: fuservicemount3 SOURCE MOUNTPOINT -t TYPE; see --help",
			   args.source ? "mountpoint" : "source");
		return HELPER_EXIT_FAILED;
	}
	return mount_request_run(&args, false);
}

const struct applet applet_fuservicemount3 = {
	.name = "fuservicemount3",
	.run = run,
	.mounts = true,
	.summary = "mounts a filesystem through a contained service",
	.help = help,
};
