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

/* Where a service finds its connection, see sd_listen_fds(3). */
#define CONNECTION 3

/* How it is told to whoever ends all processes at last that one is to be spared; and to who waits
 * for the end of those that serve the root filesystem that it is one, see doc/initramfs.md. The
 * last part of a program's name is what counts for itself. */
#define SPARED         "@/fsvc-open"
#define SPARED_SERVICE "@/fsvc-service/"

static int make_command(const struct service_config *config, const struct caller *caller,
			bool whole, struct strv *command)
{
	char service[64];

	if (config->is_service) {
		strv_add_all(command, (const char *const *)config->server.argv);
		return command->failed ? -ENOMEM : 0;
	}
	snprintf(service, sizeof(service), "--instance=0-%d-%u", caller->pid, caller->uid);
	strv_add(command, config->root_filesystem ? SPARED : "fsvc-open");
	if (config->opener.argv)
		strv_add_all(command, (const char *const *)config->opener.argv);
	/* It looks for some pieces itself; who has started this was told what is missing. */
	if (!whole)
		strv_add(command, "--uncontained");
	if (!config->as_itself)
		strv_add(command, service);
	strv_add(command, "--");
	strv_add_all(command, (const char *const *)config->server.argv);
	return command->failed ? -ENOMEM : 0;
}

/* Its own name for itself alone: what is executed stands in OFFER. */
static int mark_spared(struct strv *command)
{
	char *name;

	if (asprintf(&name, SPARED_SERVICE "%s", path_basename(command->argv[0])) < 0)
		return -ENOMEM;
	free(command->argv[0]);
	command->argv[0] = name;
	return 0;
}

static int execute(const struct service_context *context, const struct service_config *config,
		   struct strv *command)
{
	static const char *const usual[] = { "PATH=" PATH_DEFAULT, "LANG=C.UTF-8",
					     "TZ=:/etc/localtime", "LISTEN_FDS=1", NULL };
	struct strv environment = { 0 };
	char process[32];

	snprintf(process, sizeof(process), "LISTEN_PID=%d", getpid());
	strv_add_all(&environment, usual);
	strv_add(&environment, process);
	/* glibc loads it to cancel a thread, as libfuse does at the end, when nothing is left of
	 * the initramfs: without it the server would be aborted before it has written back. */
	if (config->root_filesystem)
		strv_add(&environment, "LD_PRELOAD=libgcc_s.so.1");
	if (environment.failed)
		return -ENOMEM;
	if (!config->is_service)
		syscall(SYS_execveat, context->program, "", command->argv, environment.argv,
			AT_EMPTY_PATH);
	else if (!config->root_filesystem || mark_spared(command) == 0)
		execvpe(config->server.argv[0], command->argv, environment.argv);
	return -errno;
}

/* What it speaks by, and the connection; all other descriptors are closed by the exec. */
static int arrange_descriptors(int connection, int output)
{
	/* The connection may have one of these numbers already. */
	int here = fcntl(connection, F_DUPFD_CLOEXEC, CONNECTION + 1);

	if (here < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0 ||
	    dup2(here, CONNECTION) < 0)
		return -errno;
	/* The listener wants none. */
	return channel_accept_descriptors(CONNECTION);
}

/* Its own, so that nothing of the machine's is kept open. */
static int read_nothing(void)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return null < 0 || dup2(null, STDIN_FILENO) < 0 ? -errno : 0;
}

/* As systemd has it: whoever reads the log may be gone before this service. */
static void reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, number == SIGPIPE ? SIG_IGN : SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void __attribute__((noreturn))
become(struct service_context *context, const struct service_config *config,
       const struct caller *caller, int connection, int output)
{
	const struct sandbox_layer *piece = NULL;
	struct strv command = { 0 };
	int error;

	reset_signals();
	setsid();
	error = make_command(config, caller, sandbox_has_required_layers(context->missing),
			     &command);
	if (error == 0)
		error = arrange_descriptors(connection, output);
	if (error == 0)
		error = sandbox_apply(&context->sandbox, context->missing, &piece);
	if (error == 0)
		error = read_nothing();
	if (error == 0)
		error = execute(context, config, &command);
	if (piece)
		diag_error("not contained, and so not started: %s: %s", piece->name,
			   strerror(-error));
	else
		diag_error("cannot run %s: %s", config->server.argv[0], strerror(-error));
	_exit(1);
}

/*
 * What a service speaks by. No pipe: into that it can splice a page of a file whose filesystem is
 * an attacker's and never brings the page, and who reads would wait for it, not to be killed. A
 * socket makes the service wait. What comes over it beside bytes is not wanted (Linux 6.16).
 */
static int open_log(int *herep, int *therep)
{
	int ends[2], error;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	*herep = ends[0];
	*therep = ends[1];
	error = channel_refuse_descriptors(*herep);
	if (error == 0 && (fcntl(*herep, F_SETFL, O_NONBLOCK) < 0 || shutdown(*herep, SHUT_WR) < 0))
		error = -errno;
	return error;
}

void running_service_name(struct service_context *context, char name[CGROUP_NAME_MAX])
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	snprintf(name, CGROUP_NAME_MAX, "%d.%u.%llu", getpid(), context->count++,
		 (unsigned long long)now.tv_sec * 1000000000ULL + (unsigned long long)now.tv_nsec);
}

int running_service_start(struct service_context *context, const struct service_config *config,
			  const struct caller *caller, int connection,
			  struct running_service *service)
{
	_cleanup_close_ int here = -1, there = -1;
	int error = open_log(&here, &there);

	if (error < 0)
		return error;
	*service = (struct running_service){ .config = config, .user = caller->counts_for };
	service->log.all = &context->said;
	running_service_name(context, service->name);
	context->sandbox.name = service->name;
	context->sandbox.limits = config->limits;
	context->sandbox.limits.as_root = config->root_filesystem;
	context->sandbox.paths = config->paths.argv;
	service->pid = sandbox_fork(&context->sandbox, context->missing);
	if (service->pid < 0)
		return -errno;
	if (service->pid == 0)
		become(context, config, caller, connection, there);
	service->log.fd = take_fd(&here);
	snprintf(service->log.name, sizeof(service->log.name), "%.40s[%d]", config->type,
		 service->pid);
	return 0;
}

void running_service_end(struct service_context *context, struct running_service *service,
			 int status)
{
	char end[64];

	service_log_close(&service->log);
	if (WIFSIGNALED(status)) {
		snprintf(end, sizeof(end), "killed by signal %d", WTERMSIG(status));
		service_log_tell(&service->log, end);
	}
	if (context->sandbox.cgroup >= 0)
		sandbox_limits_remove_cgroup(context->sandbox.cgroup, service->name);
}
