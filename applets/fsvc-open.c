/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fsvc-open: makes a service of a FUSE server that knows nothing of services. It runs inside the
 * sandbox, as contained as the server, and has nothing that the server could take from it.
 */
#include "applet.h"
#include "base/cleanup.h"
#include "base/diag.h"
#include "base/new_mount_api.h"
#include "base/privs.h"
#include "base/strv.h"
#include "broker/broker.h"
#include "broker/sandbox_check.h"
#include "broker/server_process.h"

#include "base/array.h"

#include <stdio.h>
#include <string.h>

/* How long a server whose mount did not come to be may take to end, in seconds. */
#define END_SECONDS 5

/* Of a process that could not become the server, and has said why. */
#define EXIT_NOT_RUN 127

#define NO_OPTIONS "none"

static const char help[] =
	"Usage: fsvc-open [OPTIONS] -- SERVER [ARGUMENTS]\n"
	"\n"
	"Runs SERVER, any FUSE server, unmodified, as a contained service: for the ExecStart= of a "
	"unit\n"
	"that a socket starts for each mount. When SERVER opens its source or /dev/fuse, or "
	"mounts, it\n"
	"gets what the mount helper gives. It is started as\n"
	"\n"
	"  SERVER ARGUMENTS... SOURCE MOUNTPOINT [-o OPTIONS]\n"
	"\n"
	"or, where {source} or {mountpoint} stands in ARGUMENTS, with these in their places. {uid}\n"
	"stands for the user who mounts.\n"
	"\n"
	"Options:\n"
	"  --read-only      the server only reads: open the source and mount it read-only\n"
	"  --remote         SOURCE is no file but a word for SERVER, such as a URL\n"
	"  --options=WORD   what stands before the options instead of -o; none: SERVER gets no "
	"options\n"
	"  --package=NAME   the package that SERVER is in, for who has to install it\n"
	"  --instance=%i    the instance of the unit, which tells who mounts: SERVER believes to be run by\n"
	"                   that user, so that its files are theirs\n"
	"  --as-root        SERVER believes to be run by root\n"
	"  --root-filesystem  begin SERVER's name with '@', so that it is spared when the machine shuts "
	"down\n"
	"  --uncontained    run SERVER although this process has privileges left or is in no "
	"sandbox,\n"
	"                   which is refused otherwise: for tests\n"
	"  --help           this text\n"
	"  --version        the version\n"
	"\n"
	"Exit code: that of SERVER; 128 and its number where a signal ended it; 1 where it was "
	"not\n"
	"started.\n";

struct arguments {
	bool read_only, remote, uncontained, root_filesystem;
	const char *options; /* the word before the server's options */
	const char *package; /* where the server is to be had, or NULL */
	const char *uid;     /* of the person who mounts, as far as it is known */
	long user;           /* the same, or -1 */
	bool as_root;        /* the server is to believe to be root instead */
	char **server;       /* NULL-terminated */
};

/* The value of WORD if it is the option NAME, which ends in '='; else NULL. */
static const char *value_of(const char *word, const char *name)
{
	return strncmp(word, name, strlen(name)) == 0 ? word + strlen(name) : NULL;
}

/* systemd calls an instance "NUMBER-PID-UID" after its connection, later than 257 with more
 * between. */
static const char *uid_of_instance(const char *instance)
{
	const char *dash = strrchr(instance, '-');

	return dash && dash[1] && dash[1 + strspn(dash + 1, "0123456789")] == '\0' ? dash + 1 : "0";
}

static int parse(int argc, char **argv, struct arguments *arguments)
{
	const char *value;
	int i = 1;

	for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--read-only") == 0) {
			arguments->read_only = true;
		} else if (strcmp(argv[i], "--remote") == 0) {
			arguments->remote = true;
		} else if (strcmp(argv[i], "--uncontained") == 0) {
			arguments->uncontained = true;
		} else if (strcmp(argv[i], "--root-filesystem") == 0) {
			arguments->root_filesystem = true;
		} else if ((value = value_of(argv[i], "--options="))) {
			arguments->options = value;
		} else if ((value = value_of(argv[i], "--package="))) {
			arguments->package = value;
		} else if ((value = value_of(argv[i], "--instance="))) {
			arguments->uid = uid_of_instance(value);
			arguments->user = strtol(arguments->uid, NULL, 10);
		} else if (strcmp(argv[i], "--as-root") == 0) {
			arguments->as_root = true;
		} else {
			diag_error("what is '%s'? See --help", argv[i]);
			return -EINVAL;
		}
	}
	if (i + 1 >= argc) {
		diag_error("no server: fsvc-open [OPTIONS] -- SERVER [ARGUMENTS]");
		return -EINVAL;
	}
	arguments->server = argv + i + 1;
	return 0;
}

static int check_contained(const struct arguments *arguments)
{
	const char *what;

	if (arguments->uncontained ||
	    (!privs_find_any(&what) && !sandbox_check_missing(arguments->remote, &what)))
		return 0;
	diag_error("refusing to run %s: the service has %s; see its unit, or use --uncontained",
		   arguments->server[0], what);
	return -EPERM;
}

/* What the server is told in its own words: its options, the kernel's, and whether it may write. */
static int compose_options(const struct broker *broker, char **listp)
{
	const struct options *options = &broker->args->options;
	const char *const lists[] = { options->server, options->kernel,
				      broker->read_only ? "ro" : NULL };

	*listp = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		if (lists[i] && options_add_unescaped(listp, lists[i]) < 0)
			return -ENOMEM;
	return 0;
}

/* The server's command line. */
static void compose(const struct arguments *arguments, const struct broker *broker,
		    const char *options, struct strv *words)
{
	struct strv_expansion expansions[] = {
		{ "{source}", broker_source(broker), false },
		{ "{mountpoint}", broker->mountpoint, false },
		{ "{uid}", arguments->uid, false },
		{ NULL, NULL, false },
	};
	_cleanup_free_ char *spared = NULL;

	/* Whoever ends all processes at last spares those whose name begins so: systemd's way. */
	if (arguments->root_filesystem && asprintf(&spared, "@%s", arguments->server[0]) < 0)
		spared = NULL;
	strv_add(words, spared ? spared : arguments->server[0]);
	for (char **server = arguments->server + 1; *server; server++)
		strv_add_expanded(words, *server, expansions);
	strv_add_all(words, broker->args->server_args);
	if (!expansions[0].used && !expansions[1].used) {
		strv_add(words, broker_source(broker));
		strv_add(words, broker->mountpoint);
	}
	if (options && strcmp(arguments->options, NO_OPTIONS) != 0) {
		strv_add(words, arguments->options);
		strv_add(words, options);
	}
}

/* Starts the server and waits until it serves. Returns 0, its exit code, or a negative errno. */
static int start(const struct arguments *arguments, struct server_process *server)
{
	struct broker *broker = server->broker;
	_cleanup_strv_ struct strv words = { 0 };
	_cleanup_free_ char *options = NULL;
	const char *name = arguments->server[0];
	int result;

	if (compose_options(broker, &options) < 0)
		return -ENOMEM;
	compose(arguments, broker, options, &words);
	if (words.failed)
		return -ENOMEM;
	result = server_process_start(server, name, words.argv);
	if (result == 0)
		result = server_process_wait_served(server, broker->fusedev,
						    broker->service->channel.fd);
	if (result == -ENOSYS)
		diag_error("cannot answer the system calls of %s: the kernel cannot, before 5.9",
			   name);
	else if (result < 0)
		diag_error("%s: %s", name,
			   result == -ECONNRESET ? "the mount helper has gone" : strerror(-result));
	else if (result > 0 && result != EXIT_NOT_RUN)
		diag_error("%s failed with exit code %d", name, result);
	return result;
}

/* From the command line to a server that serves. Returns 0, an exit code, or a negative errno. */
static int open_service(const struct arguments *arguments, struct server_process *server)
{
	struct broker *broker = server->broker;
	struct service *service = broker->service;
	const char *wrong;
	int error = mount_args_parse(service->argc, (const char *const *)service->argv,
				     broker->args, &wrong);

	if (error < 0 || !broker->args->source || !broker->args->mountpoint) {
		diag_error(
			"the command line lacks a source or a mountpoint, or has more than these");
		return error < 0 ? error : -EINVAL;
	}
	broker->remote = arguments->remote;
	broker->read_only = arguments->read_only || (broker->args->options.flags & MS_RDONLY);
	error = broker_prepare(broker);
	if (error < 0) {
		diag_error("cannot prepare for %s: %s", broker->args->source, strerror(-error));
		return error;
	}
	return start(arguments, server);
}

/* The service's life, once it has its connection. Returns the exit code. */
static int serve(const struct arguments *arguments, struct service *service)
{
	_cleanup_mount_args_ struct mount_args args = { 0 };
	_cleanup_broker_ struct broker broker = BROKER_NONE;
	struct server_process server = { .broker = &broker,
					 .package = arguments->package,
					 .confined = !arguments->uncontained };
	int result;

	broker.service = service;
	broker.args = &args;
	broker.user = arguments->as_root ? 0 : arguments->user;
	result = open_service(arguments, &server);
	service_send_goodbye(service, result < 0 ? 1 : (uint32_t)result);
	service_free(service);
	broker.service = NULL;
	if (result != 0) {
		server_process_end(&server, END_SECONDS);
		return result < 0 ? 1 : result;
	}
	/* The mount lives as long as /dev/fuse is open: it must end with the server. */
	result = server_process_watch_mount(&server, broker.fusedev);
	if (result < 0)
		diag_warning("the end of the mount will not be noticed: %s", strerror(-result));
	broker.fusedev = close_fd(broker.fusedev);
	return server_process_wait_end(&server);
}

static int run(int argc, char **argv)
{
	struct arguments arguments = { .options = "-o", .uid = "0", .user = -1 };
	struct service *service;
	int result;

	if (parse(argc, argv, &arguments) < 0 || check_contained(&arguments) < 0)
		return 1;
	result = service_accept(&service);
	if (result >= 0 && service)
		return serve(&arguments, service);
	if (result < 0)
		diag_error("no connection to a mount helper: %s", strerror(-result));
	else
		diag_error("to be started by a service manager, for each connection");
	return 1;
}

const struct applet applet_fsvc_open = {
	.name = "fsvc-open",
	.run = run,
	.mounts = false,
	.summary = "runs an unmodified FUSE server as a contained service",
	.help = help,
};
