/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listener/running_service.h"

#include "base/cleanup.h"
#include "base/diag.h"
#include "base/path.h"
#include "protocol/channel.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static const char path_variable[] = "PATH=" PATH_DEFAULT;

/* The file descriptor of a service's connection, see sd_listen_fds(3). */
#define CONNECTION_FD 3

/*
 * A service of the root filesystem is marked by argv[0]. At shutdown, systemd does not kill
 * processes whose argv[0] begins with '@', and the hook of the initramfs waits for those named
 * "fsvc-*", see doc/initramfs.md. Applets and servers take their name from the part after the last
 * slash.
 */
#define SURVIVING_BROKER         "@/fsvc-open"
#define SURVIVING_SERVICE_PREFIX "@/fsvc-service/"

static int make_argv(const struct service_config *config, const struct peer *peer, bool is_complete,
		     struct strv *argv)
{
	char instance[64];

	if (config->is_service) {
		strv_add_all(argv, (const char *const *)config->server.argv);
		return argv->failed ? -ENOMEM : 0;
	}
	strv_add(argv, config->is_root_filesystem ? SURVIVING_BROKER : "fsvc-open");
	if (config->broker_options.argv)
		strv_add_all(argv, (const char *const *)config->broker_options.argv);
	/*
	 * fsvc-open refuses to run if its sandbox is incomplete. Here the administrator has allowed
	 * that layers are missing (--allow-missing).
	 */
	if (!is_complete)
		strv_add(argv, "--uncontained");
	snprintf(instance, sizeof(instance), "--instance=0-%d-%u", peer->pid, peer->uid);
	if (!config->keep_ids)
		strv_add(argv, instance);
	strv_add(argv, "--");
	strv_add_all(argv, (const char *const *)config->server.argv);
	return argv->failed ? -ENOMEM : 0;
}

static int mark_surviving(struct strv *argv)
{
	char *name;

	if (asprintf(&name, SURVIVING_SERVICE_PREFIX "%s", path_basename(argv->argv[0])) < 0)
		return -ENOMEM;
	free(argv->argv[0]);
	argv->argv[0] = name;
	return 0;
}

/* Execute the service. Return only on failure. */
static int execute(const struct service_context *context, const struct service_config *config,
		   struct strv *argv)
{
	static const char *const variables[] = { path_variable, "LANG=C.UTF-8",
						 "TZ=:/etc/localtime", "LISTEN_FDS=1", NULL };
	struct strv environment = { 0 };
	char listen_pid[32];

	snprintf(listen_pid, sizeof(listen_pid), "LISTEN_PID=%d", getpid());
	strv_add_all(&environment, variables);
	strv_add(&environment, listen_pid);
	/* glibc loads this library when libfuse cancels a thread, at the end of the server. The
	 * initramfs is empty by then, and the server would abort before it has written back. */
	if (config->is_root_filesystem)
		strv_add(&environment, "LD_PRELOAD=libgcc_s.so.1");
	if (environment.failed)
		return -ENOMEM;
	if (!config->is_service)
		syscall(SYS_execveat, context->program, "", argv->argv, environment.argv,
			AT_EMPTY_PATH);
	else if (!config->is_root_filesystem || mark_surviving(argv) == 0)
		execvpe(config->server.argv[0], argv->argv, environment.argv);
	return -errno;
}

/* Set up standard output, standard error and the connection. exec closes all other file
 * descriptors. */
static int arrange_descriptors(int connection, int log)
{
	/* The connection may have one of these numbers itself. */
	int copy = fcntl(connection, F_DUPFD_CLOEXEC, CONNECTION_FD + 1);

	if (copy < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0 ||
	    dup2(copy, CONNECTION_FD) < 0)
		return -errno;
	/* The listening socket refuses file descriptors, and the connection inherits that. */
	return channel_accept_descriptors(CONNECTION_FD);
}

/* Open /dev/null of the sandbox as standard input, so that no file of the system stays open. */
static int close_standard_input(void)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return null < 0 || dup2(null, STDIN_FILENO) < 0 ? -errno : 0;
}

/* Set the dispositions that systemd sets: SIGPIPE ignored, because the reader of the log may exit
 * before the service; all others at their default. */
static void reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, number == SIGPIPE ? SIG_IGN : SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Turn this process, the child of sandbox_fork(), into the service. */
static void __attribute__((noreturn))
become_service(struct service_context *context, const struct service_config *config,
	       const struct peer *peer, int connection, int log)
{
	const struct sandbox_layer *failed = NULL;
	struct strv argv = { 0 };
	int error;

	reset_signals();
	setsid();
	error = make_argv(config, peer, sandbox_has_required_layers(context->missing_layers),
			  &argv);
	if (error == 0)
		error = arrange_descriptors(connection, log);
	if (error == 0)
		error = sandbox_apply(&context->sandbox, context->missing_layers, &failed);
	if (error == 0)
		error = close_standard_input();
	if (error == 0)
		error = execute(context, config, &argv);
	if (failed)
		diag_error("cannot start the service: sandbox layer '%s' failed: %s", failed->name,
			   strerror(-error));
	else
		diag_error("cannot run %s: %s", config->server.argv[0], strerror(-error));
	_exit(1);
}

/*
 * Create the socket pair for the output of a service. The caller owns *READERP and *WRITERP.
 *
 * This is not a pipe, because a service could block the listener through a pipe. It could splice(2)
 * a page of a file into the pipe, from a FUSE filesystem whose server never delivers the page. The
 * listener's read(2) would then wait for that page and ignore SIGKILL. The socket accepts no file
 * descriptors (Linux 6.16).
 */
static int open_log(int *readerp, int *writerp)
{
	int ends[2], error;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	*readerp = ends[0];
	*writerp = ends[1];
	error = channel_refuse_descriptors(*readerp);
	if (error == 0 &&
	    (fcntl(*readerp, F_SETFL, O_NONBLOCK) < 0 || shutdown(*readerp, SHUT_WR) < 0))
		error = -errno;
	return error;
}

void running_service_name_cgroup(struct service_context *context, char name[CGROUP_NAME_SIZE])
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	snprintf(name, CGROUP_NAME_SIZE, "%d.%u.%llu", getpid(), context->started++,
		 (unsigned long long)now.tv_sec * 1000000000ULL + (unsigned long long)now.tv_nsec);
}

int running_service_start(struct service_context *context, const struct service_config *config,
			  const struct peer *peer, int connection, struct running_service *service)
{
	_cleanup_close_ int reader = -1, writer = -1;
	int error = open_log(&reader, &writer);

	if (error < 0)
		return error;
	*service = (struct running_service){ .config = config, .limit_uid = peer->limit_uid };
	service->log.total_quota = &context->log;
	running_service_name_cgroup(context, service->cgroup_name);
	context->sandbox.cgroup_name = service->cgroup_name;
	context->sandbox.limits = config->limits;
	context->sandbox.limits.keep_root_user = config->is_root_filesystem;
	context->sandbox.paths = config->extra_paths.argv;
	service->pid = sandbox_fork(&context->sandbox, context->missing_layers);
	if (service->pid < 0)
		return -errno;
	if (service->pid == 0)
		become_service(context, config, peer, connection, writer);
	service->log.fd = take_fd(&reader);
	snprintf(service->log.name, sizeof(service->log.name), "%.40s[%d]", config->type,
		 service->pid);
	return 0;
}

void running_service_end(struct service_context *context, struct running_service *service,
			 int status)
{
	char text[64];

	service_log_close(&service->log);
	if (WIFSIGNALED(status)) {
		snprintf(text, sizeof(text), "killed by signal %d", WTERMSIG(status));
		service_log_print(&service->log, text);
	}
	if (context->sandbox.cgroup >= 0)
		sandbox_limits_remove_cgroup(context->sandbox.cgroup, service->cgroup_name);
}
