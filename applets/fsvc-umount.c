/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fsvc-umount: unmount FUSE filesystems and wait until their servers have written all data back.
 */
#include "applet.h"
#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/diag.h"
#include "base/interrupt.h"
#include "helper/exit_status.h"
#include "mount/busy_processes.h"
#include "mount/mount_namespace.h"
#include "mount/unmount.h"

#include "base/array.h"
#include "base/parse.h"
#include "base/path.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
	"Usage: fsvc-umount [-lfq] [-t SECONDS] TARGET|SOURCE...\n"
	"       umount.fuse3 TARGET [-flnrv] [-t TYPE] [-N NAMESPACE]\n"
	"\n"
	"Unmount FUSE filesystems, given by mountpoint or source, and wait until the server has\n"
	"written all data back and exited. The second form is for umount(8).\n"
	"\n"
	"Options:\n"
	"  -l             lazy: detach now, unmount when no longer busy; do not wait\n"
	"  -f             force, if the server hangs: data not yet written back is lost; do not\n"
	"                 wait\n"
	"  -q             suppress messages; only set the exit status\n"
	"  -t SECONDS     limit the wait for the server; 0: do not wait (default: no limit)\n"
	"  -N NAMESPACE   unmount in this mount namespace: a process ID or a file\n"
	"  -n, -r, -v     ignored\n"
	"  --help         print this help and exit\n"
	"  --version      print the version and exit\n"
	"\n"
	"Exit status: 0 unmounted; 1 incorrect invocation or permissions; 2 system error;\n"
	"8 unmounted, but interrupted while the server was writing; 32 unmount failure, or the\n"
	"server has not exited after -t SECONDS; 64 some of several targets failed.\n";

#define MAX_USERS_TEXT 512

/* The result of getopt_long() for an operand, if the option string begins with '-'. */
#define NOT_AN_OPTION 1

struct parsed_args {
	int flags;                /* UNMOUNT_* */
	unsigned int timeout_s;   /* limit of the wait for the server */
	bool has_timeout;         /* -t was given */
	bool is_quiet;            /* -q was given */
	bool is_called_by_umount; /* run as umount.TYPE by umount(8) */
	const char **targets;     /* NULL-terminated; strings borrowed from argv */
	const char *namespace;
};

static void parsed_args_free(struct parsed_args *args)
{
	free(args->targets);
}

#define _cleanup_parsed_args_ __attribute__((cleanup(parsed_args_free)))

static int set_timeout(struct parsed_args *args, const char *value)
{
	/* For umount(8), -t is the filesystem type. */
	if (args->is_called_by_umount)
		return 0;
	if (parse_seconds(value, 0, &args->timeout_s) < 0) {
		diag_usage_error("invalid argument '%s' for '-t': must be 0 to %d seconds", value,
				 MAX_SECONDS);
		return -EINVAL;
	}
	args->has_timeout = true;
	return 0;
}

static int set_option(struct parsed_args *args, int option, char **argv)
{
	switch (option) {
	case 'l':
		args->flags |= UNMOUNT_LAZY;
		return 0;
	case 'f':
		args->flags |= UNMOUNT_FORCE;
		return 0;
	case 'q':
		args->is_quiet = true;
		return 0;
	case 'n':
	case 'r':
	case 'v':
		return 0;
	case 'N':
		args->namespace = optarg;
		return 0;
	case 't':
		return set_timeout(args, optarg);
	}
	diag_getopt_error(option, argv);
	return -EINVAL;
}

/* Options may follow the targets, as umount(8) passes them, even if POSIXLY_CORRECT is set. */
static int parse_arguments(struct parsed_args *args, int argc, char **argv)
{
	static const struct option no_long_options[] = { { 0 } };
	size_t count = 0;
	int option, error = 0;

	args->targets = calloc((size_t)argc + 1, sizeof(*args->targets));
	if (!args->targets) {
		diag_error("out of memory");
		return -ENOMEM;
	}
	opterr = 0;
	while (error == 0 &&
	       (option = getopt_long(argc, argv, "-:lfqnrvN:t:", no_long_options, NULL)) >= 0)
		if (option == NOT_AN_OPTION)
			args->targets[count++] = optarg;
		else
			error = set_option(args, option, argv);
	if (error < 0)
		return error;
	while (optind < argc)
		args->targets[count++] = argv[optind++];
	if (count > 0)
		return 0;
	diag_usage_error("missing operand");
	return -EINVAL;
}

/* Return " (PID)" if the process ID of the server is known, otherwise "". */
static const char *describe_server(const struct unmount *unmount, char name[32])
{
	name[0] = '\0';
	if (unmount->server.pid > 0)
		snprintf(name, 32, " (%d)", unmount->server.pid);
	return name;
}

static void report_progress(const struct unmount *unmount)
{
	char name[32];

	if (isatty(STDERR_FILENO))
		diag_error("%s: waiting for the server%s to write all data back (Ctrl-C ends only "
			   "the wait)",
			   unmount->mount.target, describe_server(unmount, name));
}

/* Print why TARGET was not unmounted. Return the exit status. */
static int report_failure(const struct parsed_args *args, const char *target,
			  const struct unmount *unmount, int error)
{
	static const struct {
		int error, status;
		const char *text;
	} failures[] = {
		{ EINVAL, MOUNT_EXIT_FAILED, "not mounted" },
		{ ENOTUNIQ, MOUNT_EXIT_FAILED, "source of several mounts; specify a mountpoint" },
		{ EMEDIUMTYPE, MOUNT_EXIT_USAGE, "not a FUSE mount; try 'umount'" },
		{ EPERM, MOUNT_EXIT_USAGE, "mounted by another user: permission denied" },
		{ ESTALE, MOUNT_EXIT_FAILED, "mount has changed during the unmount" },
	};
	char users[MAX_USERS_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(failures); i++)
		if (failures[i].error == -error) {
			if (!args->is_quiet)
				diag_error("%s: %s", target, failures[i].text);
			return failures[i].status;
		}
	if (!args->is_quiet && error == -EBUSY) {
		busy_processes_describe(&unmount->mount, users, sizeof(users));
		diag_error("%s: cannot unmount: in use by %s; try 'fsvc-umount -l'", target,
			   users[0] ? users : "a process of another user");
	} else if (!args->is_quiet) {
		diag_error("%s: cannot unmount: %s", target, strerror(-error));
	}
	return MOUNT_EXIT_FAILED;
}

static int wait_for_server(const struct parsed_args *args, const struct unmount *unmount,
			   int interrupt)
{
	unsigned int timeout_s = args->timeout_s;
	char name[32];
	int error;

	if (!args->has_timeout)
		timeout_s = args->flags == UNMOUNT_NORMAL ? MAX_SECONDS : 0;
	if (timeout_s == 0)
		return MOUNT_EXIT_SUCCESS;
	do
		error = unmount_wait(unmount, deadline_in(timeout_s), interrupt,
				     args->is_quiet ? NULL : report_progress);
	while (error == -ETIMEDOUT && !args->has_timeout);
	if (error == 0)
		return MOUNT_EXIT_SUCCESS;
	if (!args->is_quiet)
		diag_error("%s: unmounted, but the server%s %s", unmount->mount.target,
			   describe_server(unmount, name),
			   error == -EINTR ? "is still writing data back"
					   : "has not written all data back in time");
	return error == -EINTR ? MOUNT_EXIT_INTERRUPTED : MOUNT_EXIT_FAILED;
}

/* Unmount TARGET, but do not wait for the server. Signals have their default action meanwhile. */
static int unmount_one(const struct parsed_args *args, const char *target, struct unmount *unmount)
{
	int error;

	*unmount = UNMOUNT_NONE;
	error = unmount_find(target, unmount);
	if (error == 0)
		error = unmount_run(unmount, args->flags);
	return error < 0 ? report_failure(args, target, unmount, error) : MOUNT_EXIT_SUCCESS;
}

/* Unmount all targets first: the servers write at the same time. Then wait for all of them. */
static int unmount_all(const struct parsed_args *args, struct unmount *unmounts, int *statuses)
{
	int interrupt, failed = 0, last = MOUNT_EXIT_SUCCESS, i;

	for (i = 0; args->targets[i]; i++)
		statuses[i] = unmount_one(args, args->targets[i], &unmounts[i]);
	interrupt = interrupt_open();
	if (interrupt < 0) {
		diag_error("cannot prepare for signals: %s", strerror(-interrupt));
		return MOUNT_EXIT_SYSTEM;
	}
	for (i = 0; args->targets[i]; i++) {
		if (statuses[i] == MOUNT_EXIT_SUCCESS && last != MOUNT_EXIT_INTERRUPTED)
			statuses[i] = wait_for_server(args, &unmounts[i], interrupt);
		failed += statuses[i] != MOUNT_EXIT_SUCCESS;
		if (statuses[i] != MOUNT_EXIT_SUCCESS && last != MOUNT_EXIT_INTERRUPTED)
			last = statuses[i];
		unmount_free(&unmounts[i]);
	}
	close(interrupt);
	return failed > 0 && failed < i && last != MOUNT_EXIT_INTERRUPTED ? MOUNT_EXIT_SOME_FAILED
									  : last;
}

static bool is_called_by_umount(const char *path)
{
	return strncmp(path_basename(path), "umount.", strlen("umount.")) == 0;
}

static int run(int argc, char **argv)
{
	_cleanup_parsed_args_ struct parsed_args args = { .is_called_by_umount =
								  is_called_by_umount(argv[0]) };
	_cleanup_free_ struct unmount *unmounts = NULL;
	_cleanup_free_ int *statuses = NULL;
	int error = parse_arguments(&args, argc, argv);

	if (error < 0)
		return error == -ENOMEM ? MOUNT_EXIT_SYSTEM : MOUNT_EXIT_USAGE;
	if (args.namespace && mount_namespace_enter(args.namespace) < 0)
		return MOUNT_EXIT_USAGE;
	unmounts = calloc((size_t)argc, sizeof(*unmounts));
	statuses = calloc((size_t)argc, sizeof(*statuses));
	if (!unmounts || !statuses) {
		diag_error("out of memory");
		return MOUNT_EXIT_SYSTEM;
	}
	return unmount_all(&args, unmounts, statuses);
}

static const char *const aliases[] = { "umount.fuse", "umount.fuse3", "umount.fuseblk", NULL };

const struct applet applet_fsvc_umount = {
	.name = "fsvc-umount",
	.aliases = aliases,
	.run = run,
	.mounts = true,
	.summary = "unmount FUSE filesystems and wait for their servers",
	.help = help,
};
