/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fsvc-open: runs an unmodified FUSE server as a service. It runs inside the sandbox with the same
 * rights as the server, so a server that takes it over gains nothing.
 */
#include "applet.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/diag.h"
#include "base/new_mount_api.h"
#include "base/privs.h"
#include "base/strv.h"
#include "broker/broker.h"
#include "broker/sandbox_check.h"
#include "broker/server_process.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* The time for a server to exit if its mount has failed. */
#define END_TIMEOUT_S 5

#define NO_OPTIONS "none"

static const char help[] =
	"Usage: fsvc-open [OPTIONS] -- SERVER [ARGUMENTS]\n"
	"\n"
	"Run SERVER, an unmodified FUSE server, as a sandboxed service. For the ExecStart= line of a\n"
	"service unit. When SERVER opens its source or /dev/fuse, or mounts, it gets what the mount\n"
	"helper provides. It is started as\n"
	"\n"
	"  SERVER ARGUMENTS... SOURCE MOUNTPOINT [-o OPTIONS]\n"
	"\n"
	"In ARGUMENTS, {source} and {mountpoint} are replaced by the source and the mountpoint, which\n"
	"are not appended then, and {uid} by the user ID of the caller of the mount helper.\n"
	"\n"
	"Options:\n"
	"  --read-only        open the source read-only and mount read-only\n"
	"  --remote           SOURCE is not a file but, for example, a URL\n"
	"  --options=WORD     pass WORD before the mount options instead of -o;\n"
	"                     none: do not pass mount options to the server\n"
	"  --package=NAME     name of the package that contains SERVER\n"
	"  --instance=%i      instance name of the unit, which contains the caller's user ID:\n"
	"                     SERVER sees this ID as its own\n"
	"  --as-root          emulate user ID 0\n"
	"  --root-filesystem  begin the name of the server process with '@', so that systemd does\n"
	"                     not kill it at shutdown\n"
	"  --uncontained      start SERVER even if the sandbox is incomplete, for tests\n"
	"  --help             print this help and exit\n"
	"  --version          print the version and exit\n"
	"\n"
	"Exit status: that of SERVER; 128 plus the signal that killed it; 127 if it cannot be\n"
	"executed; 1 if it was not started for another reason.\n";

struct open_options {
	bool read_only, remote, uncontained, root_filesystem, as_root;
	const char *options_flag; /* passed before the mount options */
	const char *package;      /* or NULL */
	const char *caller_uid;   /* user ID of the caller as text, "0" if unknown */
	long emulated_uid;        /* the same, or -1 */
	char **server;            /* command line of the server, NULL-terminated */
};

enum option_value {
	READ_ONLY = 256,
	REMOTE,
	UNCONTAINED,
	ROOT_FILESYSTEM,
	OPTIONS,
	PACKAGE,
	INSTANCE,
	AS_ROOT,
};

static const struct option long_options[] = {
	{ "read-only", no_argument, NULL, READ_ONLY },
	{ "remote", no_argument, NULL, REMOTE },
	{ "uncontained", no_argument, NULL, UNCONTAINED },
	{ "root-filesystem", no_argument, NULL, ROOT_FILESYSTEM },
	{ "options", required_argument, NULL, OPTIONS },
	{ "package", required_argument, NULL, PACKAGE },
	{ "instance", required_argument, NULL, INSTANCE },
	{ "as-root", no_argument, NULL, AS_ROOT },
	{ 0 },
};

/*
 * Return the user ID in INSTANCE, a systemd instance name "NUMBER-PID-UID". Since version 258, more
 * fields are between PID and UID.
 */
static const char *uid_of_instance(const char *instance)
{
	const char *dash = strrchr(instance, '-');

	return dash && dash[1] && dash[1 + strspn(dash + 1, "0123456789")] == '\0' ? dash + 1 : "0";
}

static int set_option(struct open_options *options, int option, char *const *argv)
{
	switch (option) {
	case READ_ONLY:
		options->read_only = true;
		return 0;
	case REMOTE:
		options->remote = true;
		return 0;
	case UNCONTAINED:
		options->uncontained = true;
		return 0;
	case ROOT_FILESYSTEM:
		options->root_filesystem = true;
		return 0;
	case OPTIONS:
		options->options_flag = optarg;
		return 0;
	case PACKAGE:
		options->package = optarg;
		return 0;
	case INSTANCE:
		options->caller_uid = uid_of_instance(optarg);
		options->emulated_uid = strtol(options->caller_uid, NULL, 10);
		return 0;
	case AS_ROOT:
		options->as_root = true;
		return 0;
	default:
		diag_getopt_error(option, argv);
		return -EINVAL;
	}
}

static int parse(int argc, char **argv, struct open_options *options)
{
	int option, error = 0;

	opterr = 0;
	while (error == 0 && (option = getopt_long(argc, argv, "+:", long_options, NULL)) >= 0)
		error = set_option(options, option, argv);
	if (error < 0)
		return error;
	if (optind == argc) {
		diag_usage_error("missing SERVER operand");
		return -EINVAL;
	}
	if (strcmp(argv[optind - 1], "--") != 0) {
		diag_usage_error("missing '--' before '%s'", argv[optind]);
		return -EINVAL;
	}
	options->server = argv + optind;
	return 0;
}

static int check_sandbox(const struct open_options *options)
{
	const char *found;

	if (options->uncontained ||
	    (!privs_find_any(&found) && !sandbox_check_is_incomplete(options->remote, &found)))
		return 0;
	diag_error("refused to run %s: the service has %s; check its unit, or use --uncontained",
		   options->server[0], found);
	return -EPERM;
}

/* Collect the mount options for the server: its own, those for the kernel, and "ro". */
static int make_mount_options(const struct broker *broker, char **listp)
{
	const struct options *options = &broker->args->options;
	const char *const lists[] = { options->server, options->kernel,
				      broker->is_read_only ? "ro" : NULL };

	*listp = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		if (lists[i] && options_add_unescaped(listp, lists[i]) < 0)
			return -ENOMEM;
	return 0;
}

/* Build the command line of the server. MOUNT_OPTIONS: a list, or NULL. */
static void make_argv(const struct open_options *options, const struct broker *broker,
		      const char *mount_options, struct strv *argv)
{
	struct strv_expansion expansions[] = {
		{ "{source}", broker_source(broker), false },
		{ "{mountpoint}", broker->mountpoint, false },
		{ "{uid}", options->caller_uid, false },
		{ NULL, NULL, false },
	};
	_cleanup_free_ char *marked = NULL;

	/* systemd does not kill processes whose argv[0] begins with '@' at shutdown. */
	if (options->root_filesystem && asprintf(&marked, "@%s", options->server[0]) < 0)
		marked = NULL;
	strv_add(argv, marked ? marked : options->server[0]);
	for (char **argument = options->server + 1; *argument; argument++)
		strv_add_expanded(argv, *argument, expansions);
	strv_add_all(argv, broker->args->server_args);
	if (!expansions[0].used && !expansions[1].used) {
		strv_add(argv, broker_source(broker));
		strv_add(argv, broker->mountpoint);
	}
	if (mount_options && strcmp(options->options_flag, NO_OPTIONS) != 0) {
		strv_add(argv, options->options_flag);
		strv_add(argv, mount_options);
	}
}

/* Start the server and wait until it serves. Return 0, its exit status, or a negative errno. */
static int start_server(const struct open_options *options, struct server_process *server)
{
	struct broker *broker = server->broker;
	_cleanup_strv_ struct strv argv = { 0 };
	_cleanup_free_ char *mount_options = NULL;
	const char *name = options->server[0];
	int result = make_mount_options(broker, &mount_options);

	if (result == 0) {
		make_argv(options, broker, mount_options, &argv);
		result = argv.failed ? -ENOMEM : 0;
	}
	if (result == 0)
		result = server_process_start(server, name, argv.argv);
	if (result == 0)
		result = server_process_wait_served(server, broker->fusedev,
						    broker->service->channel.fd);
	if (result == -ENOSYS)
		diag_error("cannot run %s: the kernel has no seccomp notifications (Linux 5.9)",
			   name);
	else if (result < 0)
		diag_error("cannot run %s: %s", name,
			   result == -ECONNRESET ? "the mount helper closed the connection"
						 : strerror(-result));
	else if (result > 0 && result != EXIT_NOT_EXECUTED)
		diag_error("%s failed with exit status %d", name, result);
	return result;
}

/* Parse the helper's command line, fetch the source, and start the server. Return as
 * start_server(). */
static int open_service(const struct open_options *options, struct server_process *server)
{
	struct broker *broker = server->broker;
	struct service *service = broker->service;
	const char *wrong;
	int error = mount_args_parse(service->argc, (const char *const *)service->argv,
				     broker->args, &wrong);

	if (error == 0 && (!broker->args->source || !broker->args->mountpoint))
		error = -EINVAL;
	if (error < 0) {
		diag_error("cannot use the helper's command line: %s",
			   error == -ENOMEM ? "out of memory"
					    : "not exactly one source and one mountpoint");
		return error;
	}
	broker->is_remote = options->remote;
	broker->is_read_only = options->read_only || (broker->args->options.flags & MS_RDONLY);
	error = broker_prepare(broker);
	if (error < 0) {
		diag_error("%s: cannot open: %s", broker->args->source, strerror(-error));
		return error;
	}
	return start_server(options, server);
}

/* Serve one mount for the connection of SERVICE, which is freed. Return the exit status. */
static int serve(const struct open_options *options, struct service *service)
{
	_cleanup_mount_args_ struct mount_args args = { 0 };
	_cleanup_broker_ struct broker broker = BROKER_NONE;
	struct server_process server = { .broker = &broker,
					 .package = options->package,
					 .use_landlock = !options->uncontained };
	int result;

	broker.service = service;
	broker.args = &args;
	broker.emulated_uid = options->as_root ? 0 : options->emulated_uid;
	result = open_service(options, &server);
	service_send_goodbye(service, result < 0 ? 1 : (uint32_t)result);
	service_free(service);
	broker.service = NULL;
	if (result != 0) {
		server_process_kill(&server, END_TIMEOUT_S);
		return result < 0 ? 1 : result;
	}
	/* The mount lives as long as /dev/fuse is open, and must end with the server. */
	result = server_process_watch_mount(&server, broker.fusedev);
	if (result < 0)
		diag_warning("cannot watch for the end of the mount: %s", strerror(-result));
	broker.fusedev = close_fd(broker.fusedev);
	return server_process_wait_end(&server);
}

static int run(int argc, char **argv)
{
	struct open_options options = { .options_flag = "-o",
					.caller_uid = "0",
					.emulated_uid = -1 };
	struct service *service;
	int result;

	if (parse(argc, argv, &options) < 0 || check_sandbox(&options) < 0)
		return 1;
	result = service_accept(&service);
	if (result >= 0 && service)
		return serve(&options, service);
	if (result < 0)
		diag_error("handshake with the mount helper failed: %s", strerror(-result));
	else
		diag_error(
			"no connection on file descriptor 3: fsvc-open must be started by systemd "
			"or fsvc-listen");
	return 1;
}

const struct applet applet_fsvc_open = {
	.name = "fsvc-open",
	.run = run,
	.mounts = false,
	.summary = "run an unmodified FUSE server as a service",
	.help = help,
};
