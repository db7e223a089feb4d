/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "launch.h"

#include "channel.h"
#include "cleanup.h"
#include "diag.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

/* How often to look whether the server has begun to read, in milliseconds. */
#define FIRST_PAUSE   1
#define LONGEST_PAUSE 50

static sigset_t signals(void)
{
	static const int numbers[] = {
		SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2
	};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&set, numbers[i]);
	return set;
}

static void __attribute__((noreturn))
run(const char *const *argv, const int *fds, const sigset_t *mask)
{
	for (; *fds >= 0; fds++)
		fcntl(*fds, F_SETFD, 0);
	sigprocmask(SIG_SETMASK, mask, NULL);
	/* exec takes a vector of char *, and changes none of them */
	execvp(argv[0], (char *const *)argv);
	diag_error("cannot run %s: %s%s", argv[0], strerror(errno),
		   errno == ENOENT ? ": is its package installed?" : "");
	_exit(127);
}

int launch_start(struct launch *launch, const char *const *argv, const int *fds)
{
	sigset_t mine = signals(), before;

	*launch = (struct launch){ .signals = -1, .children = 1 };
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ||
	    sigprocmask(SIG_BLOCK, &mine, &before) < 0)
		return -errno;
	launch->signals = signalfd(-1, &mine, SFD_CLOEXEC | SFD_NONBLOCK);
	if (launch->signals < 0)
		return -errno;
	launch->server = fork();
	if (launch->server < 0)
		return -errno;
	if (launch->server == 0)
		run(argv, fds, &before);
	return 0;
}

/*
 * Sends a signal to all children, orphans that came to this process among them; where the kernel
 * does not list these (proc(5), CONFIG_PROC_CHILDREN), to the one that was started.
 */
static void signal_children(const struct launch *launch, int number)
{
	_cleanup_file_ FILE *file = NULL;
	char path[64];
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	file = fopen(path, "re");
	if (!file && launch->server > 0)
		kill(launch->server, number);
	while (file && fscanf(file, "%d", &pid) == 1)
		kill(pid, number);
}

static int exit_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Collects what has ended. *FIRST_ENDED: whether the process that was started is among it. */
static void collect(struct launch *launch, bool *first_ended)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		launch->status = status;
		if (pid == launch->server) {
			*first_ended = true;
			launch->server = 0;
		}
	}
	launch->children = pid == 0;
}

/* Takes the signals that have come: passes them on, or collects who has ended. */
static void take_signals(struct launch *launch, bool *first_ended)
{
	struct signalfd_siginfo signal;

	while (read(launch->signals, &signal, sizeof(signal)) == (ssize_t)sizeof(signal)) {
		if (signal.ssi_signo == SIGCHLD)
			collect(launch, first_ended);
		else
			signal_children(launch, (int)signal.ssi_signo);
	}
}

/*
 * Whether the server has read the kernel's first request, INIT, which waits there since the mount
 * was made.
 */
static bool has_read_request(int fusedev)
{
	struct pollfd wait = { .fd = fusedev, .events = POLLIN };

	return poll(&wait, 1, 0) == 0;
}

int launch_wait_served(struct launch *launch, int fusedev, int connection)
{
	struct pollfd waits[] = {
		{ .fd = launch->signals, .events = POLLIN },
		{ .fd = connection, .events = POLLIN },
	};
	int pause = FIRST_PAUSE;

	while (!has_read_request(fusedev)) {
		bool first_ended = false;

		if (poll(waits, 2, pause) < 0 && errno != EINTR)
			return -errno;
		if (waits[1].revents)
			return -ECONNRESET;
		take_signals(launch, &first_ended);
		if (first_ended && exit_code(launch->status) == 0 && launch->children)
			return 0;
		if (first_ended || !launch->children)
			return exit_code(launch->status) ? exit_code(launch->status) : 1;
		pause = pause < LONGEST_PAUSE ? 2 * pause : LONGEST_PAUSE;
	}
	return 0;
}

int launch_wait_end(struct launch *launch)
{
	struct pollfd wait = { .fd = launch->signals, .events = POLLIN };
	bool first_ended = false;

	while (launch->children) {
		if (poll(&wait, 1, -1) < 0 && errno != EINTR)
			return 1;
		take_signals(launch, &first_ended);
	}
	return exit_code(launch->status);
}

void launch_end(struct launch *launch, unsigned int seconds)
{
	struct pollfd wait = { .fd = launch->signals, .events = POLLIN };
	int64_t deadline = deadline_in(seconds);
	bool first_ended = false;
	int number = SIGTERM;

	while (launch->children) {
		signal_children(launch, number);
		poll(&wait, 1, deadline_left(deadline) ? deadline_left(deadline) : LONGEST_PAUSE);
		take_signals(launch, &first_ended);
		if (deadline_left(deadline) == 0)
			number = SIGKILL;
	}
}
