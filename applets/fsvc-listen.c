/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fsvc-listen: a service manager for filesystems in one process, where systemd is not.
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

/* What is open beside a descriptor for each service. */
#define OWN_FILES 256

/* No descriptor that a service is given has a number from here on. */
#define HIGH 10

#define FILE_OPTION "--file="

static const char help[] =
	"Usage: fsvc-listen [OPTIONS] TYPE -- SERVER [ARGUMENTS]\n"
	"       fsvc-listen --file=FILE\n"
	"\n"
	"Makes the socket of TYPE, and starts SERVER, any FUSE server, as a service of its own for each "
	"mount,\n"
	"contained, where there is no systemd to do that. Ends with SIGTERM, SIGINT or SIGHUP, and "
	"leaves what is\n"
	"mounted alone. For root.\n"
	"\n"
	"Options:\n"
	"  --file=FILE              offer what FILE says: [OPTIONS] TYPE -- SERVER [ARGUMENTS] in each "
	"line\n"
	"  --read-only              the server only reads\n"
	"  --options=WORD           what stands before the server's options instead of -o; none: it "
	"gets none\n"
	"  --as-root                the server believes to be run by root, instead of who mounts\n"
	"  --as-itself              the server knows that it is nobody, instead of believing to be who "
	"mounts\n"
	"  --package=NAME           the package that the server is in, for who has to install it\n"
	"  --service                the server is a service by itself, such as one built on libfsvc\n"
	"  --show=PATH              the server sees PATH too, read-only, beside /usr, /bin, /sbin, /lib "
	"and /lib64\n"
	"  --memory=BYTES           for each mount; K, M and G may follow; 1G if not said otherwise\n"
	"  --processes=NUMBER       for each mount, threads too; 256\n"
	"  --mounts=NUMBER          of this type at a time; 4096\n"
	"  --mounts-of-user=NUMBER  of this type, for one user; 1024\n"
	"  --root-filesystem        it is the machine's: at shutdown the server is to be spared\n"
	"  --allow-missing=PIECE,...  start services although the kernel lacks these pieces of their "
	"sandbox\n"
	"  --help                   this text\n"
	"  --version                the version\n"
	"\n"
	"Exit code: 0 after a signal; 1 for wrong usage, or where a service cannot be contained, or the "
	"system failed.\n";

/* What whoever started this has left open is for no service: a directory would be a way out of the
 * sandbox. */
static int keep_descriptors(void)
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
		diag_error("%s: %s", name, strerror(-error));
		return error;
	}
	error = service_configs_read(configs, file, name);
	if (error == 0 && configs->count == 0) {
		diag_error("%s offers nothing", name);
		error = -EINVAL;
	}
	return error;
}

static int parse(int argc, char **argv, struct service_configs *configs)
{
	if (argc == 2 && strncmp(argv[1], FILE_OPTION, strlen(FILE_OPTION)) == 0)
		return read_file(argv[1] + strlen(FILE_OPTION), configs);
	return service_configs_add(configs, argv + 1, (size_t)argc - 1, "");
}

/* Each service that runs has a descriptor here: no user may take the last one of another type. */
static void raise_limit(const struct service_configs *configs)
{
	rlim_t most = OWN_FILES, hard;
	struct rlimit limit;

	for (size_t i = 0; i < configs->count; i++)
		most += configs->list[i].most;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	hard = limit.rlim_max;
	limit.rlim_cur = limit.rlim_max = hard < most ? most : hard;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return;
	/* Beyond that takes CAP_SYS_RESOURCE, which root has not in every container. */
	diag_warning("no more than %llu files can be open, which %llu mounts would need: %s",
		     (unsigned long long)hard, (unsigned long long)most, strerror(errno));
	limit.rlim_cur = limit.rlim_max = hard;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* What all offers are content to do without. */
static uint32_t allowed_by_all(const struct service_configs *configs)
{
	uint32_t allowed = UINT32_MAX;

	for (size_t i = 0; i < configs->count; i++)
		allowed &= configs->list[i].allowed;
	return allowed;
}

/* Says what is missing. Returns 0 where services may start nevertheless. */
static int judge(const int errors[SANDBOX_MAX_LAYERS], uint32_t allowed, uint32_t *missing)
{
	int result = 0;

	for (size_t i = 0; i < sandbox_layer_count; i++) {
		const struct sandbox_layer *piece = &sandbox_layers[i];

		if (errors[i] == 0)
			continue;
		*missing |= 1U << i;
		if (allowed & 1U << i)
			continue;
		if (piece->spared) {
			diag_warning(
				"without %s, which Linux has from %s on: that a service %s: %s",
				piece->name, piece->since, piece->what, strerror(-errors[i]));
			continue;
		}
		diag_error(
			"services cannot be contained without %s, which Linux has from %s on: that a "
			"service %s: %s; --allow-missing=%s starts them nevertheless",
			piece->name, piece->since, piece->what, strerror(-errors[i]), piece->name);
		result = -EPERM;
	}
	return result;
}

/* Sees what the sandbox of this machine's services lacks. */
static int try_sandbox(const struct service_configs *configs, struct service_context *context)
{
	char name[CGROUP_NAME_MAX];
	int errors[SANDBOX_MAX_LAYERS] = { 0 };
	int error = sandbox_open(&context->sandbox);

	if (error < 0) {
		diag_error("cannot contain services without /proc: %s", strerror(-error));
		return error;
	}
	context->sandbox.limits = SERVICE_CONFIG_DEFAULT.limits;
	running_service_name(context, name);
	context->sandbox.name = name;
	error = sandbox_try(&context->sandbox, errors);
	if (error < 0) {
		diag_error("cannot try whether services can be contained: %s", strerror(-error));
		return error;
	}
	return judge(errors, allowed_by_all(configs), &context->missing);
}

/*
 * Who reads what is said may be slow, or stop: then lines are lost, and no service waits. What is
 * open already may be others' too, who do not expect that of it.
 */
static void wait_for_no_reader(void)
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
	const char *why;
	int error = keep_descriptors();

	if (error < 0) {
		diag_error("cannot contain services without /proc: %s", strerror(-error));
		return error;
	}
	error = socket_dir_create(&why);
	if (error < 0) {
		diag_error("cannot use " SERVICE_SOCKET_DIR "%s%s: %s", why ? ": " : "",
			   why ? why : "", strerror(-error));
		return error;
	}
	context->program = program < 0 ? -1 : fcntl(program, F_DUPFD_CLOEXEC, HIGH);
	if (context->program < 0) {
		diag_error("cannot find this program: %s", strerror(errno));
		return -errno;
	}
	raise_limit(configs);
	error = try_sandbox(configs, context);
	if (error == 0) {
		wait_for_no_reader();
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

	if (parse(argc, argv, &configs) < 0)
		return 1;
	if (!privs_caller_is_root()) {
		diag_error("only root can contain a service as somebody else");
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
	.summary = "runs contained services, where there is no systemd",
	.help = help,
};
