/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fsvc-open: makes a service of a FUSE server that knows nothing of services. It runs inside the
 * sandbox, as contained as the server, and has nothing that the server could take from it.
 */
#include "applet.h"
#include "cleanup.h"
#include "diag.h"
#include "launch.h"
#include "mountapi.h"
#include "mountline.h"
#include "privs.h"
#include "service.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* How long a server whose mount did not come to be may take to end, in seconds. */
#define END_SECONDS 5

static const char help[] =
	"Usage: fsvc-open [OPTIONS] -- SERVER [ARGUMENTS]\n"
	"\n"
	"Runs SERVER, an unmodified FUSE server built on libfuse 3, as a contained service: for "
	"the\n"
	"ExecStart= of a unit that a socket starts for each mount. SERVER gets the source, opened "
	"by\n"
	"the mount helper, and the mount:\n"
	"\n"
	"  SERVER ARGUMENTS... /proc/self/fd/N /dev/fd/M [-o OPTIONS]\n"
	"\n"
	"Options:\n"
	"  --read-only    the server only reads: open the source and mount it read-only\n"
	"  --uncontained  run SERVER although this process has privileges left, which is refused\n"
	"                 otherwise: for tests\n"
	"  --help         this text\n"
	"  --version      the version\n"
	"\n"
	"Exit code: that of SERVER; 128 and its number where a signal ended it; 1 where it was "
	"not\n"
	"started.\n";

struct arguments {
	bool read_only, uncontained;
	char **server; /* NULL-terminated */
};

static int parse(int argc, char **argv, struct arguments *arguments)
{
	int i = 1;

	for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--read-only") == 0) {
			arguments->read_only = true;
		} else if (strcmp(argv[i], "--uncontained") == 0) {
			arguments->uncontained = true;
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

	if (arguments->uncontained || !privs_left(&what))
		return 0;
	diag_error("refusing to run %s: the service has %s; see its unit, or use --uncontained",
		   arguments->server[0], what);
	return -EPERM;
}

/* Fetches the source: for writing, if the mount is to be written and the caller may. */
static int fetch_source(struct service *service, struct mountline *line, int *fdp)
{
	bool read_only = line->options.flags & MS_RDONLY;
	int error = service_request(service, line->source, read_only ? O_RDONLY : O_RDWR, 0,
				    /* not the last word yet */ read_only ? 0 : 1);

	if (error >= 0)
		error = service_receive(service, line->source, fdp);
	if (error < 0 || *fdp >= 0 || read_only ||
	    (*fdp != -EACCES && *fdp != -EROFS && *fdp != -EPERM))
		return error < 0 ? error : (*fdp < 0 ? *fdp : 0);
	line->options.flags |= MS_RDONLY;
	return fetch_source(service, line, fdp);
}

static int ask_mount(struct service *service, const struct mountline *line)
{
	struct service_mount mount = {
		.fuseblk = line->options.blkdev,
		.source = line->options.fsname ? line->options.fsname : line->source,
		.mountpoint = line->mountpoint,
		.kernel_options = line->options.kernel,
		.table_options = line->no_table ? "-n" : line->options.table,
		.flags = (uint32_t)line->options.flags,
	};

	return service_ask_mount(service, &mount);
}

/* The server's command line, NULL-terminated; SOURCE and MOUNTPOINT are the words for them. */
static const char **compose(char **server, const char *source, const char *mountpoint,
			    struct mountline *line)
{
	size_t count = 0, others = 0;
	const char **argv;

	while (server[count])
		count++;
	while (line->others[others])
		others++;
	if ((line->options.flags & MS_RDONLY) && options_add(&line->options.rest, "ro") < 0)
		return NULL;
	argv = calloc(count + others + 5, sizeof(char *));
	if (!argv)
		return NULL;
	memcpy(argv, server, count * sizeof(char *));
	memcpy(argv + count, line->others, others * sizeof(char *));
	count += others;
	argv[count++] = source;
	argv[count++] = mountpoint;
	if (line->options.rest) {
		argv[count++] = "-o";
		argv[count++] = line->options.rest;
	}
	return argv;
}

/* Starts the server on the descriptors SOURCE and the service's fusedev, and waits until it serves.
 */
static int start(struct service *service, struct mountline *line, char **server, int source,
		 struct launch *launch)
{
	_cleanup_free_ const char **argv = NULL;
	char source_path[32], mountpoint[32];
	const int fds[] = { source, service->fusedev, -1 };
	int result;

	snprintf(source_path, sizeof(source_path), "/proc/self/fd/%d", source);
	snprintf(mountpoint, sizeof(mountpoint), "/dev/fd/%d", service->fusedev);
	argv = compose(server, source_path, mountpoint, line);
	if (!argv)
		return -ENOMEM;
	result = launch_start(launch, argv, fds);
	if (result == 0)
		result = launch_wait_served(launch, service->fusedev, service->channel.fd);
	if (result < 0)
		diag_error("%s: %s", server[0],
			   result == -ECONNRESET ? "the mount helper has gone" : strerror(-result));
	else if (result > 0)
		diag_error("%s failed with exit code %d", server[0], result);
	return result;
}

/* From the command line to a server that serves. Returns 0, an exit code, or a negative errno. */
static int open_service(struct service *service, const struct arguments *arguments,
			struct launch *launch)
{
	__attribute__((cleanup(mountline_free))) struct mountline line = { 0 };
	_cleanup_close_ int source = -1;
	const char *wrong;
	int error =
		mountline_parse(service->argc, (const char *const *)service->argv, &line, &wrong);

	if (error < 0 || !line.source || !line.mountpoint) {
		diag_error(
			"the command line lacks a source or a mountpoint, or has more than these");
		return error < 0 ? error : -EINVAL;
	}
	if (arguments->read_only)
		line.options.flags |= MS_RDONLY;
	error = fetch_source(service, &line, &source);
	if (error < 0) {
		diag_error("cannot get %s from the mount helper: %s", line.source,
			   strerror(-error));
		return error;
	}
	error = service_refuse_descriptors(service);
	if (error >= 0)
		error = ask_mount(service, &line);
	return error < 0 ? error : start(service, &line, arguments->server, source, launch);
}

static int run(int argc, char **argv)
{
	struct arguments arguments = { 0 };
	struct launch launch = { 0 };
	struct service *service;
	int result;

	if (parse(argc, argv, &arguments) < 0 || check_contained(&arguments) < 0)
		return 1;
	result = service_accept(&service);
	if (result < 0 || !service) {
		diag_error(result < 0 ? "no connection to a mount helper: %s"
				      : "to be started by a service manager, for each connection",
			   strerror(-result));
		return 1;
	}
	result = open_service(service, &arguments, &launch);
	service_goodbye(service, result < 0 ? 1 : (uint32_t)result);
	/* This end of /dev/fuse must go: the server's end of it is what ends the mount when it
	 * dies. */
	service_free(service);
	if (result == 0)
		return launch_wait_end(&launch);
	launch_end(&launch, END_SECONDS);
	return result < 0 ? 1 : result;
}

const struct applet applet_fsvc_open = {
	.name = "fsvc-open",
	.run = run,
	.mounts = false,
	.summary = "runs an unmodified FUSE server as a contained service",
	.help = help,
};
