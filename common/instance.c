/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "instance.h"

#include "channel.h"
#include "cleanup.h"
#include "diag.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

/* Where a service finds its connection, see sd_listen_fds(3). */
#define CONNECTION 3

#define PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* How it is told to whoever ends all processes at last that one is to be spared; and to who waits
 * for the end of those that serve the root filesystem that it is one, see doc/initramfs.md. The
 * last part of a program's name is what counts for itself. */
#define SPARED         "@/fsvc-open"
#define SPARED_SERVICE "@/fsvc-service/"

static int make_command(const struct offer *offer, const struct caller *caller, bool whole,
			struct words *command)
{
	char instance[64];

	if (offer->service) {
		words_add_all(command, (const char *const *)offer->server.argv);
		return command->failed ? -ENOMEM : 0;
	}
	snprintf(instance, sizeof(instance), "--instance=0-%d-%u", caller->pid, caller->uid);
	words_add(command, offer->root_filesystem ? SPARED : "fsvc-open");
	if (offer->opener.argv)
		words_add_all(command, (const char *const *)offer->opener.argv);
	/* It looks for some pieces itself; who has started this was told what is missing. */
	if (!whole)
		words_add(command, "--uncontained");
	if (!offer->as_itself)
		words_add(command, instance);
	words_add(command, "--");
	words_add_all(command, (const char *const *)offer->server.argv);
	return command->failed ? -ENOMEM : 0;
}

/* Its own name for itself alone: what is executed stands in OFFER. */
static int mark_spared(struct words *command)
{
	const char *slash = strrchr(command->argv[0], '/');
	char *name;

	if (asprintf(&name, SPARED_SERVICE "%s", slash ? slash + 1 : command->argv[0]) < 0)
		return -ENOMEM;
	free(command->argv[0]);
	command->argv[0] = name;
	return 0;
}

static int execute(const struct instance_maker *maker, const struct offer *offer,
		   struct words *command)
{
	static const char *const usual[] = { PATH, "LANG=C.UTF-8", "TZ=:/etc/localtime",
					     "LISTEN_FDS=1", NULL };
	struct words environment = { 0 };
	char process[32];

	snprintf(process, sizeof(process), "LISTEN_PID=%d", getpid());
	words_add_all(&environment, usual);
	words_add(&environment, process);
	/* glibc loads it to cancel a thread, as libfuse does at the end, when nothing is left of
	 * the initramfs: without it the server would be aborted before it has written back. */
	if (offer->root_filesystem)
		words_add(&environment, "LD_PRELOAD=libgcc_s.so.1");
	if (environment.failed)
		return -ENOMEM;
	if (!offer->service)
		syscall(SYS_execveat, maker->program, "", command->argv, environment.argv,
			AT_EMPTY_PATH);
	else if (!offer->root_filesystem || mark_spared(command) == 0)
		execvpe(offer->server.argv[0], command->argv, environment.argv);
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
	return channel_take_descriptors(CONNECTION);
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
become(struct instance_maker *maker, const struct offer *offer, const struct caller *caller,
       int connection, int output)
{
	const struct contain_piece *piece = NULL;
	struct words command = { 0 };
	int error;

	reset_signals();
	setsid();
	error = make_command(offer, caller, contain_is_whole(maker->missing), &command);
	if (error == 0)
		error = arrange_descriptors(connection, output);
	if (error == 0)
		error = contain_apply(&maker->contain, maker->missing, &piece);
	if (error == 0)
		error = read_nothing();
	if (error == 0)
		error = execute(maker, offer, &command);
	if (piece)
		diag_error("not contained, and so not started: %s: %s", piece->name,
			   strerror(-error));
	else
		diag_error("cannot run %s: %s", offer->server.argv[0], strerror(-error));
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

void instance_name(struct instance_maker *maker, char name[INSTANCE_NAME])
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	snprintf(name, INSTANCE_NAME, "%d.%u.%llu", getpid(), maker->count++,
		 (unsigned long long)now.tv_sec * 1000000000ULL + (unsigned long long)now.tv_nsec);
}

int instance_start(struct instance_maker *maker, const struct offer *offer,
		   const struct caller *caller, int connection, struct instance *instance)
{
	_cleanup_close_ int here = -1, there = -1;
	int error = open_log(&here, &there);

	if (error < 0)
		return error;
	*instance = (struct instance){ .offer = offer, .user = caller->counts_for };
	instance->log.all = &maker->said;
	instance_name(maker, instance->name);
	maker->contain.name = instance->name;
	maker->contain.limits = offer->limits;
	maker->contain.limits.as_root = offer->root_filesystem;
	maker->contain.paths = offer->paths.argv;
	instance->pid = contain_fork(&maker->contain, maker->missing);
	if (instance->pid < 0)
		return -errno;
	if (instance->pid == 0)
		become(maker, offer, caller, connection, there);
	instance->log.fd = take_fd(&here);
	snprintf(instance->log.name, sizeof(instance->log.name), "%.40s[%d]", offer->type,
		 instance->pid);
	return 0;
}

void instance_end(struct instance_maker *maker, struct instance *instance, int status)
{
	char end[64];

	servicelog_close(&instance->log);
	if (WIFSIGNALED(status)) {
		snprintf(end, sizeof(end), "killed by signal %d", WTERMSIG(status));
		servicelog_tell(&instance->log, end);
	}
	if (maker->contain.cgroup >= 0)
		containlimits_remove_cgroup(maker->contain.cgroup, instance->name);
}
