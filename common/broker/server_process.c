/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/server_process.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/diag.h"
#include "base/interrupt.h"
#include "broker/broker_filter.h"
#include "config.h"
#include "protocol/channel.h"
#include "sandbox/landlock.h"

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* How often to look whether the server has begun to read, in milliseconds. */
#define FIRST_PAUSE   1
#define LONGEST_PAUSE 50

/* How often to look whether the mount has ended, and how long a server may write back then: a slow
 * stick takes minutes, a hostile server for ever. In seconds. */
#define LOOK_AGAIN         60
#define WRITE_BACK_SECONDS 900

/* How long to go on killing a server's processes, in seconds. */
#define KILL_SECONDS 2

static sigset_t signals(void)
{
	static const int numbers[] = { INTERRUPT_SIGNALS, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD };

	return interrupt_signal_set(numbers, ARRAY_SIZE(numbers));
}

/* Puts the filter on this process and tells the parent by CONNECTION, which it closes, how to
 * answer for it. */
static void submit_to_broker(const struct broker *broker, int connection)
{
	struct channel channel = { .fd = connection, .deadline = deadline_in(5), .interrupt = -1 };
	int listener = broker_filter_install(broker->user);
	struct wire_packet packet = { .kind = WIRE_FILE,
				      .error = (uint32_t)(listener < 0 ? -listener : 0),
				      .text = "listener" };

	if (channel_send(&channel, &packet, listener) < 0 || listener < 0)
		_exit(127);
	close_fd(listener);
	channel_close(&channel);
}

/* Takes what submit_to_broker() sends, and CONNECTION. Returns the listener or a negative errno. */
static int receive_listener(int connection)
{
	struct channel channel = { .fd = connection, .deadline = deadline_in(5), .interrupt = -1 };
	struct wire_packet packet;
	int listener, error = channel_receive(&channel, &packet, &listener);

	channel_close(&channel);
	if (error < 0)
		return error;
	return packet.error ? -(int)packet.error : listener;
}

/* A server that has fusermount mount for it gets the one that is of use here. */
static void put_stand_ins_first(void)
{
	const char *before = getenv("PATH");
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, STANDIN_DIR ":%s", before ? before : "/usr/bin:/bin") < 0 ||
	    setenv("PATH", path, 1) < 0)
		diag_warning("fusermount will not be found: %s", strerror(errno));
}

static void __attribute__((noreturn)) run(const struct server_process *server, const char *program,
					  char *const *argv, const sigset_t *mask, int connection)
{
	sigprocmask(SIG_SETMASK, mask, NULL);
	/* Before the filter, under which opening waits for somebody who answers. */
	if (server->confined)
		(void)landlock_restrict();
	put_stand_ins_first();
	submit_to_broker(server->broker, connection);
	execvp(program, argv);
	if (errno == ENOENT && server->package)
		diag_error("%s is not installed: apt install %s", program, server->package);
	else
		diag_error("cannot run %s: %s%s", program, strerror(errno),
			   errno == ENOENT ? ": is its package installed?" : "");
	_exit(127);
}

int server_process_start(struct server_process *server, const char *program, char *const *argv)
{
	_cleanup_close_ int here = -1, there = -1;
	sigset_t mine = signals(), before;
	int both[2];

	server->signals = server->mount = -1;
	server->children = 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, both) < 0)
		return -errno;
	here = both[0];
	there = both[1];
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ||
	    sigprocmask(SIG_BLOCK, &mine, &before) < 0)
		return -errno;
	server->signals = signalfd(-1, &mine, SFD_CLOEXEC | SFD_NONBLOCK);
	if (server->signals < 0)
		return -errno;
	server->pid = fork();
	if (server->pid < 0)
		return -errno;
	server->children = 1;
	if (server->pid == 0)
		run(server, program, argv, &before, take_fd(&there));
	there = close_fd(there);
	server->broker->listener = receive_listener(take_fd(&here));
	return server->broker->listener < 0 ? server->broker->listener : 0;
}

/*
 * Sends a signal to all children, orphans that came to this process among them; where the kernel
 * does not list these (proc(5), CONFIG_PROC_CHILDREN), to the one that was started.
 */
static void signal_children(const struct server_process *server, int number)
{
	_cleanup_file_ FILE *file = NULL;
	char path[64];
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	file = fopen(path, "re");
	if (!file && server->pid > 0)
		kill(server->pid, number);
	while (file && fscanf(file, "%d", &pid) == 1)
		kill(pid, number);
}

static int exit_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Collects what has ended. *FIRST_ENDED: whether the process that was started is among it. */
static void collect(struct server_process *server, bool *first_ended)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		server->status = status;
		if (pid == server->pid) {
			*first_ended = true;
			server->pid = 0;
		}
	}
	server->children = pid == 0;
}

/*
 * Whether the mount has ended: then the server is writing back what it holds. /dev/fuse can be
 * written to as long as it is connected, and is no longer watched when the server has closed it.
 */
static bool is_unmounted(const struct server_process *server)
{
	struct epoll_event event;

	return server->mount >= 0 &&
	       (epoll_wait(server->mount, &event, 1, 0) != 1 || (event.events & EPOLLERR));
}

/*
 * Whether a signal is for the server: USR1 and USR2 always, one that ends it once, and only while
 * there is something to end. libfuse restores what a signal does by default before the server
 * writes back what it holds: a second one, or one after the unmounting, would kill it in the midst.
 */
static bool may_pass_on(struct server_process *server, int number)
{
	if (number == SIGUSR1 || number == SIGUSR2)
		return true;
	if (server->told_to_end || is_unmounted(server))
		return false;
	server->told_to_end = true;
	return true;
}

/* Takes the signals that have come: passes them on, or collects who has ended. */
static void take_signals(struct server_process *server, bool *first_ended)
{
	struct signalfd_siginfo signal;

	while (read(server->signals, &signal, sizeof(signal)) == (ssize_t)sizeof(signal)) {
		if (signal.ssi_signo == SIGCHLD)
			collect(server, first_ended);
		else if (may_pass_on(server, (int)signal.ssi_signo))
			signal_children(server, (int)signal.ssi_signo);
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

/*
 * Waits for MILLISECONDS, or without end where they are negative, for signals, for a word from
 * CONNECTION unless that is -1, or for the server's system calls, and answers all but the second.
 * *FIRST_ENDED: whether the process that was started has ended.
 */
static int wait_and_answer(struct server_process *server, int milliseconds, int connection,
			   bool *first_ended)
{
	struct broker *broker = server->broker;
	struct pollfd waits[] = {
		{ .fd = server->signals, .events = POLLIN },
		{ .fd = connection, .events = POLLIN },
		{ .fd = broker->listener, .events = POLLIN },
	};

	if (poll(waits, 3, milliseconds) < 0 && errno != EINTR)
		return -errno;
	if (waits[1].revents)
		return -ECONNRESET;
	/* Without POLLIN nobody is left under the filter. */
	if (waits[2].revents && (!(waits[2].revents & POLLIN) || broker_answer(broker) < 0))
		broker->listener = close_fd(broker->listener);
	take_signals(server, first_ended);
	return 0;
}

int server_process_wait_served(struct server_process *server, int fusedev, int connection)
{
	int pause = FIRST_PAUSE, error;

	while (!has_read_request(fusedev)) {
		bool first_ended = false;

		error = wait_and_answer(server, pause, connection, &first_ended);
		if (error < 0)
			return error;
		/* A daemon: its mount is there when its first process leaves. */
		if (server->broker->mounted && first_ended && exit_code(server->status) == 0 &&
		    server->children)
			return 0;
		if (!server->children || (first_ended && exit_code(server->status) != 0))
			return exit_code(server->status) ? exit_code(server->status) : 1;
		pause = pause < LONGEST_PAUSE ? 2 * pause : LONGEST_PAUSE;
	}
	return 0;
}

int server_process_watch_mount(struct server_process *server, int fusedev)
{
	struct epoll_event connected = { .events = EPOLLOUT };

	int error = 0;

	server->mount = epoll_create1(EPOLL_CLOEXEC);
	if (server->mount < 0 || epoll_ctl(server->mount, EPOLL_CTL_ADD, fusedev, &connected) < 0) {
		error = -errno;
		/* One that watches nothing would tell that the mount has ended. */
		server->mount = close_fd(server->mount);
	}
	return error;
}

int server_process_wait_end(struct server_process *server)
{
	bool first_ended = false;
	int64_t end = INT64_MAX;

	while (server->children) {
		if (wait_and_answer(server, LOOK_AGAIN * 1000, -1, &first_ended) < 0)
			return 1;
		if (end == INT64_MAX && is_unmounted(server))
			end = deadline_in(WRITE_BACK_SECONDS);
		if (deadline_left(end) == 0) {
			diag_error("the server has not ended %d s after it was unmounted: killed",
				   WRITE_BACK_SECONDS);
			server_process_end(server, 0);
			return 1;
		}
	}
	return exit_code(server->status);
}

void server_process_end(struct server_process *server, unsigned int seconds)
{
	int64_t gentle = deadline_in(seconds), last = deadline_in(seconds + KILL_SECONDS);
	bool first_ended = false;

	/* One that forks without end is left to who ends this process's whole control group. */
	while (server->children && deadline_left(last) > 0) {
		int left = deadline_left(gentle);

		signal_children(server, left > 0 ? SIGTERM : SIGKILL);
		wait_and_answer(server, left > 0 && left < LONGEST_PAUSE ? left : LONGEST_PAUSE, -1,
				&first_ended);
	}
}
