/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/server_process.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/diag.h"
#include "base/interrupt.h"
#include "base/path.h"
#include "broker/emulated_syscalls.h"
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

/* Minimum and maximum pause between two checks if the server has read its first request. */
#define FIRST_PAUSE_MS 1
#define MAX_PAUSE_MS   50

/* The interval between two checks if the mount has ended. */
#define MOUNT_CHECK_S 60

/*
 * The time limit for writing back after the mount has ended. A slow USB stick needs minutes; a
 * hostile server would never exit.
 */
#define WRITE_BACK_TIMEOUT_S 900

#define KILL_TIMEOUT_S 2

/* The time for the child to install its filter and hand over the file descriptor. */
#define START_TIMEOUT_S 5

static sigset_t handled_signals(void)
{
	static const int numbers[] = { INTERRUPT_SIGNALS, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD };

	return interrupt_signal_set(numbers, ARRAY_SIZE(numbers));
}

/*
 * Install the filter on this process. Send the file descriptor for notifications, or the errno, to
 * the parent over CONNECTION, and close CONNECTION.
 */
static void install_filter(const struct broker *broker, int connection)
{
	struct channel channel = { .fd = connection,
				   .deadline = deadline_in(START_TIMEOUT_S),
				   .interrupt = -1 };
	int notify_fd = emulated_syscalls_install_filter(broker->emulated_uid);
	struct wire_packet packet = { .kind = WIRE_FILE,
				      .error = (uint32_t)(notify_fd < 0 ? -notify_fd : 0),
				      .text = "notify_fd" };

	if (channel_send(&channel, &packet, notify_fd) < 0 || notify_fd < 0)
		_exit(EXIT_NOT_EXECUTED);
	close_fd(notify_fd);
	channel_close(&channel);
}

/* Receive what install_filter() sends, and close CONNECTION. Return the file descriptor, owned by
 * the caller, or a negative errno. */
static int receive_notify_fd(int connection)
{
	struct channel channel = { .fd = connection,
				   .deadline = deadline_in(START_TIMEOUT_S),
				   .interrupt = -1 };
	struct wire_packet packet;
	int notify_fd, error = channel_receive(&channel, &packet, &notify_fd);

	channel_close(&channel);
	if (error < 0)
		return error;
	return packet.error ? -(int)packet.error : notify_fd;
}

/* Some servers run fusermount3 to mount: put fsvc's fusermount3 first in PATH. */
static void prepend_to_path(void)
{
	const char *old = getenv("PATH");
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, STANDIN_DIR ":%s", old ? old : PATH_DEFAULT) < 0 ||
	    setenv("PATH", path, 1) < 0)
		diag_warning("cannot set PATH for the server: %s", strerror(errno));
}

static void __attribute__((noreturn))
execute(const struct server_process *server, const char *program, char *const *argv,
	const sigset_t *mask, int connection)
{
	sigprocmask(SIG_SETMASK, mask, NULL);
	/* Before the filter: with it, open(2) blocks until the parent answers. */
	if (server->use_landlock)
		(void)landlock_restrict();
	prepend_to_path();
	install_filter(server->broker, connection);
	execvp(program, argv);
	if (errno == ENOENT && server->package)
		diag_error("%s: not installed; try 'apt install %s'", program, server->package);
	else
		diag_error("cannot run %s: %s%s", program, strerror(errno),
			   errno == ENOENT ? "; is its package installed?" : "");
	_exit(EXIT_NOT_EXECUTED);
}

int server_process_start(struct server_process *server, const char *program, char *const *argv)
{
	_cleanup_close_ int parent_end = -1, child_end = -1;
	sigset_t handled = handled_signals(), old_mask;
	int ends[2];

	server->signal_fd = server->mount_epoll = -1;
	server->has_children = false;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	parent_end = ends[0];
	child_end = ends[1];
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ||
	    sigprocmask(SIG_BLOCK, &handled, &old_mask) < 0)
		return -errno;
	server->signal_fd = signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK);
	if (server->signal_fd < 0)
		return -errno;
	server->pid = fork();
	if (server->pid < 0)
		return -errno;
	server->has_children = true;
	if (server->pid == 0)
		execute(server, program, argv, &old_mask, take_fd(&child_end));
	child_end = close_fd(child_end);
	server->broker->notify_fd = receive_notify_fd(take_fd(&parent_end));
	return server->broker->notify_fd < 0 ? server->broker->notify_fd : 0;
}

/*
 * Send a signal to all children of this process, including adopted orphans. If the kernel does not
 * list them (CONFIG_PROC_CHILDREN, proc(5)), send it to the process that was started.
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

static int exit_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Reap exited processes. *FIRST_EXITEDP is set to true if the process that was started is among
 * them. */
static void reap_children(struct server_process *server, bool *first_exitedp)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		server->status = status;
		if (pid == server->pid) {
			*first_exitedp = true;
			server->pid = 0;
		}
	}
	server->has_children = pid == 0;
}

/*
 * Return true if the mount has ended; the server may still be writing back data. /dev/fuse is
 * writable while it is connected, and leaves the epoll set when the server has closed it.
 */
static bool is_unmounted(const struct server_process *server)
{
	struct epoll_event event;

	return server->mount_epoll >= 0 &&
	       (epoll_wait(server->mount_epoll, &event, 1, 0) != 1 || (event.events & EPOLLERR));
}

/*
 * Return true if the signal must be forwarded to the server: SIGUSR1 and SIGUSR2 always, a signal
 * that ends it only once and only while it is mounted. libfuse restores the default action of
 * signals before the server writes back data: a second signal, or one after the end of the mount,
 * would kill it.
 */
static bool must_forward(struct server_process *server, int number)
{
	if (number == SIGUSR1 || number == SIGUSR2)
		return true;
	if (server->end_signal_forwarded || is_unmounted(server))
		return false;
	server->end_signal_forwarded = true;
	return true;
}

/* Read the signals that have arrived; forward them, or reap children. */
static void read_signals(struct server_process *server, bool *first_exitedp)
{
	struct signalfd_siginfo signal;

	while (read(server->signal_fd, &signal, sizeof(signal)) == (ssize_t)sizeof(signal)) {
		if (signal.ssi_signo == SIGCHLD)
			reap_children(server, first_exitedp);
		else if (must_forward(server, (int)signal.ssi_signo))
			signal_children(server, (int)signal.ssi_signo);
	}
}

/*
 * Return true if the server has read the first request of the kernel, FUSE_INIT. It is queued when
 * the mount is created.
 */
static bool has_read_request(int fusedev)
{
	struct pollfd wait = { .fd = fusedev, .events = POLLIN };

	return poll(&wait, 1, 0) == 0;
}

/*
 * Wait up to MILLISECONDS for a signal, a notification, or the end of CONNECTION (-1: none), and
 * handle it. *FIRST_EXITEDP is set to true if the process that was started has exited. Return 0;
 * -ECONNRESET if CONNECTION has ended; or another negative errno.
 */
static int handle_events(struct server_process *server, int milliseconds, int connection,
			 bool *first_exitedp)
{
	struct broker *broker = server->broker;
	struct pollfd waits[] = {
		{ .fd = server->signal_fd, .events = POLLIN },
		{ .fd = connection, .events = POLLIN },
		{ .fd = broker->notify_fd, .events = POLLIN },
	};

	if (poll(waits, 3, milliseconds) < 0 && errno != EINTR)
		return -errno;
	if (waits[1].revents)
		return -ECONNRESET;
	/* Without POLLIN no process is left under the filter. */
	if (waits[2].revents && (!(waits[2].revents & POLLIN) || broker_answer(broker) < 0))
		broker->notify_fd = close_fd(broker->notify_fd);
	read_signals(server, first_exitedp);
	return 0;
}

int server_process_wait_served(struct server_process *server, int fusedev, int connection)
{
	int pause = FIRST_PAUSE_MS, error;

	while (!has_read_request(fusedev)) {
		bool first_exited = false;

		error = handle_events(server, pause, connection, &first_exited);
		if (error < 0)
			return error;
		/* A daemon has mounted by the time its first process exits. */
		if (server->broker->is_mounted && first_exited &&
		    exit_status(server->status) == 0 && server->has_children)
			return 0;
		if (!server->has_children || (first_exited && exit_status(server->status) != 0))
			return exit_status(server->status) ? exit_status(server->status) : 1;
		pause = pause < MAX_PAUSE_MS ? 2 * pause : MAX_PAUSE_MS;
	}
	return 0;
}

int server_process_watch_mount(struct server_process *server, int fusedev)
{
	struct epoll_event connected = { .events = EPOLLOUT };
	int error = 0;

	server->mount_epoll = epoll_create1(EPOLL_CLOEXEC);
	if (server->mount_epoll < 0 ||
	    epoll_ctl(server->mount_epoll, EPOLL_CTL_ADD, fusedev, &connected) < 0) {
		error = -errno;
		/* is_unmounted() would take an empty epoll set for the end of the mount. */
		server->mount_epoll = close_fd(server->mount_epoll);
	}
	return error;
}

int server_process_wait_end(struct server_process *server)
{
	bool first_exited = false;
	int64_t end = INT64_MAX;

	while (server->has_children) {
		if (handle_events(server, MOUNT_CHECK_S * 1000, -1, &first_exited) < 0)
			return 1;
		if (end == INT64_MAX && is_unmounted(server))
			end = deadline_in(WRITE_BACK_TIMEOUT_S);
		if (deadline_left(end) == 0) {
			diag_error(
				"killed the server: still running %d s after the end of the mount",
				WRITE_BACK_TIMEOUT_S);
			server_process_kill(server, 0);
			return 1;
		}
	}
	return exit_status(server->status);
}

void server_process_kill(struct server_process *server, unsigned int seconds)
{
	int64_t term_end = deadline_in(seconds);
	int64_t kill_end = deadline_in(seconds + KILL_TIMEOUT_S);
	bool first_exited = false;

	/* A server that forks without end is left to the service manager, which kills the cgroup.
	 */
	while (server->has_children && deadline_left(kill_end) > 0) {
		int left = deadline_left(term_end);

		signal_children(server, left > 0 ? SIGTERM : SIGKILL);
		handle_events(server, left > 0 && left < MAX_PAUSE_MS ? left : MAX_PAUSE_MS, -1,
			      &first_exited);
	}
}
