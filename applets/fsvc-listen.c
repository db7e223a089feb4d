/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fsvc-listen: a service manager for FUSE services, for systems without systemd.
 */
#include "applet.h"
#include "base/cleanup.h"
#include "base/diag.h"
#include "base/privs.h"
#include "config.h"
#include "listener/listener.h"
#include "protocol/socket_dir.h"
#include "sandbox/sandbox.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* File descriptors that the listener needs besides one for each service. */
#define OWN_FILES 256

/*
 * The lowest number of a file descriptor that must stay open in the service, which uses the lower
 * ones itself.
 */
#define FIRST_FREE_FD 10

#define FILE_OPTION "--file="

static const char help[] =
	"Usage: fsvc-listen [OPTIONS] TYPE -- SERVER [ARGUMENTS]\n"
	"       fsvc-listen --file=FILE\n"
	"\n"
	"Create the socket of TYPE, and start SERVER in a sandbox for each mount. SERVER can be any\n"
	"FUSE server. On SIGTERM, SIGINT or SIGHUP, remove the socket and exit; existing mounts are not\n"
	"affected. Must be run by root.\n"
	"\n"
	"Options:\n"
	"  --file=FILE              read the services from FILE, one in each line:\n"
	"                           [OPTIONS] TYPE -- SERVER [ARGUMENTS]\n"
	"  --read-only              open the source read-only and mount read-only\n"
	"  --options=WORD           pass WORD before the mount options instead of -o;\n"
	"                           none: do not pass mount options to the server\n"
	"  --as-root                emulate user ID 0 instead of the caller's user ID\n"
	"  --as-itself              do not emulate a user ID\n"
	"  --package=NAME           name of the package that contains SERVER\n"
	"  --service                SERVER implements the service protocol itself\n"
	"  --show=PATH              make PATH visible to the server, read-only\n"
	"  --memory=BYTES           memory limit of each service; suffixes K, M, G; default: 1G\n"
	"  --processes=NUMBER       maximum number of processes and threads of each service;\n"
	"                           default: 256\n"
	"  --mounts=NUMBER          maximum number of mounts of this type; default: 4096\n"
	"  --mounts-of-user=NUMBER  maximum number of mounts of this type for each user;\n"
	"                           default: 1024\n"
	"  --root-filesystem        the mount becomes the root filesystem of the machine\n"
	"  --allow-missing=LAYER,...  start services even if the kernel does not support these\n"
	"                           layers of the sandbox\n"
	"  --help                   print this help and exit\n"
	"  --version                print the version and exit\n"
	"\n"
	"Exit status: 0 after a signal; 1 if an argument is invalid, if services cannot be sandboxed,\n"
	"or if a system call failed.\n";

/* Mark all inherited file descriptors close-on-exec: an open directory would let a service leave
 * its sandbox. */
static int close_inherited_on_exec(void)
{
	_cleanup_directory_ DIR *directory = opendir("/proc/self/fd");
	const struct dirent *entry;

	if (!directory)
		return -errno;
	for (errno = 0; (entry = readdir(directory)); errno = 0)
		if (entry->d_name[0] != '.' && fcntl(atoi(entry->d_name), F_SETFD, FD_CLOEXEC) < 0)
			return -errno;
	return -errno;
}

static int read_file(const char *name, struct service_configs *configs)
{
	_cleanup_file_ FILE *file = fopen(name, "re");
	int error;

	if (!file) {
		error = -errno;
		diag_error("%s: cannot open: %s", name, strerror(-error));
		return error;
	}
	error = service_configs_read(configs, file, name);
	if (error == 0 && configs->count == 0) {
		diag_error("%s: the file contains no services", name);
		error = -EINVAL;
	}
	return error;
}

static int parse(int argc, char **argv, struct service_configs *configs)
{
	if (argc == 2 && strncmp(argv[1], FILE_OPTION, strlen(FILE_OPTION)) == 0)
		return read_file(argv[1] + strlen(FILE_OPTION), configs);
	return service_configs_add(configs, argv + 1, (size_t)argc - 1, NULL);
}

/* Raise the limit of open files: each running service needs a file descriptor, and the mounts of
 * one type must not use up the file descriptors of another. */
static void raise_file_limit(const struct service_configs *configs)
{
	rlim_t wanted = OWN_FILES, hard;
	struct rlimit limit;

	for (size_t i = 0; i < configs->count; i++)
		wanted += configs->list[i].max_mounts;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	hard = limit.rlim_max;
	limit.rlim_cur = limit.rlim_max = hard < wanted ? wanted : hard;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return;
	/* Raising the hard limit needs CAP_SYS_RESOURCE, which root lacks in some containers. */
	diag_warning("limit of open files is %llu, fewer than the %llu for the maximum number of "
		     "mounts: %s",
		     (unsigned long long)hard, (unsigned long long)wanted, strerror(errno));
	limit.rlim_cur = limit.rlim_max = hard;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Return the layers that may be missing for every type. */
static uint32_t optional_for_all(const struct service_configs *configs)
{
	uint32_t layers = UINT32_MAX;

	for (size_t i = 0; i < configs->count; i++)
		layers &= configs->list[i].optional_layers;
	return layers;
}

/*
 * Report the layers that failed in ERRORS and add them to *MISSINGP. ALLOWED: layers that the
 * configuration allows to be missing. Return 0 if services may start, or -EPERM.
 */
static int report_missing(const int errors[SANDBOX_MAX_LAYERS], uint32_t allowed,
			  uint32_t *missingp)
{
	int result = 0;

	for (size_t i = 0; i < sandbox_layer_count; i++) {
		const struct sandbox_layer *layer = &sandbox_layers[i];

		if (errors[i] == 0)
			continue;
		*missingp |= 1U << i;
		if (allowed & 1U << i)
			continue;
		if (layer->optional) {
			diag_warning("%s is not available (%s): %s", layer->feature,
				     strerror(-errors[i]), layer->risk);
			continue;
		}
		diag_error("cannot sandbox services: %s is not available (%s): %s; use "
			   "--allow-missing=%s to start services without it",
			   layer->feature, strerror(-errors[i]), layer->risk, layer->name);
		result = -EPERM;
	}
	return result;
}

/* Find out which layers of the sandbox this system supports. */
static int check_sandbox(const struct service_configs *configs, struct service_context *context)
{
	char name[CGROUP_NAME_SIZE];
	int errors[SANDBOX_MAX_LAYERS] = { 0 };
	int error = sandbox_open(&context->sandbox);

	if (error < 0) {
		diag_error("/proc: cannot open: %s", strerror(-error));
		return error;
	}
	context->sandbox.limits = SERVICE_CONFIG_DEFAULT.limits;
	running_service_name_cgroup(context, name);
	context->sandbox.cgroup_name = name;
	error = sandbox_try(&context->sandbox, errors);
	if (error < 0) {
		diag_error("cannot check the sandbox: %s", strerror(-error));
		return error;
	}
	return report_missing(errors, optional_for_all(configs), &context->missing_layers);
}

/*
 * Make standard error nonblocking if it is a pipe or a terminal: lines are lost then if its reader
 * is slow or stops, but no service waits. Open it again, because other processes may share the open
 * file description and do not expect O_NONBLOCK.
 */
static void reopen_standard_error(void)
{
	struct stat status;
	int fd;

	if (fstat(STDERR_FILENO, &status) < 0 ||
	    !(S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)))
		return;
	fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0)
		dup3(fd, STDERR_FILENO, O_CLOEXEC);
	close_fd(fd);
}

static int serve(const struct service_configs *configs, struct service_context *context)
{
	_cleanup_close_ int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	const char *reason;
	int error = close_inherited_on_exec();

	if (error < 0) {
		diag_error("/proc/self/fd: cannot read: %s", strerror(-error));
		return error;
	}
	error = socket_dir_create(&reason);
	if (error < 0) {
		diag_error(SERVICE_SOCKET_DIR ": cannot use: %s%s%s", reason ? reason : "",
			   reason ? ": " : "", strerror(-error));
		return error;
	}
	context->program = program < 0 ? -1 : fcntl(program, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
	if (context->program < 0) {
		error = -errno;
		diag_error("/proc/self/exe: cannot open: %s", strerror(-error));
		return error;
	}
	raise_file_limit(configs);
	error = check_sandbox(configs, context);
	if (error == 0) {
		reopen_standard_error();
		error = listener_run(configs, context);
	}
	context->program = close_fd(context->program);
	return error;
}

static int run(int argc, char **argv)
{
	_cleanup_service_configs_ struct service_configs configs = { 0 };
	struct service_context context = { .sandbox = SANDBOX_NONE, .program = -1 };
	int error;

	error = parse(argc, argv, &configs);
	if (error < 0) {
		if (error == -ENOMEM)
			diag_error("cannot parse the command line: out of memory");
		return 1;
	}
	if (!privs_caller_is_root()) {
		diag_error("must be run by root");
		return 1;
	}
	error = serve(&configs, &context);
	sandbox_close(&context.sandbox);
	return error < 0 ? 1 : 0;
}

const struct applet applet_fsvc_listen = {
	.name = "fsvc-listen",
	.run = run,
	.mounts = false,
	.summary = "start services without systemd",
	.help = help,
};
