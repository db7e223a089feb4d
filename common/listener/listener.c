/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listener/listener.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/diag.h"
#include "base/interrupt.h"
#include "listener/subuid.h"
#include "protocol/channel.h"
#include "protocol/socket_dir.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

/* How long to do nothing where the machine has no descriptor or process left, in nanoseconds. */
#define PAUSE 100000000

/*
 * What somebody has sent and nobody has received is closed by who closes the connection or reads
 * over it, and a TCP connection may make that last for hours (SO_LINGER). Linux does not let such
 * things be sent here, from 6.16 on. Before, a signal after so many microseconds ends the waiting.
 */
#define LONGEST_WAIT 10000

/* How often at most to say that a limit is reached. */
#define QUIET_SECONDS 5

struct listener;

/* What is waited for: who embeds it is told. */
struct watch {
	int (*ready)(struct listener *listener, struct watch *watch);
};

/* The socket of an offer. */
struct door {
	struct watch watch;
	const struct service_config *config;
	int fd;
	char *path;
	struct stat status; /* of the path, to take away no other */
	int64_t quiet;      /* until then nobody is told that it is full */
};

/* One that runs. */
struct running {
	struct watch watch;
	struct running *next;
	struct running_service service;
};

struct listener {
	struct service_context *context;
	struct door *doors;
	size_t count;
	struct running *running;
	struct watch signal_watch;
	int events, signals;
	bool ended;
};

static int watch(struct listener *listener, int fd, struct watch *what)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = what };

	return epoll_ctl(listener->events, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* Closing is not enough: a child that has not executed its program yet has the same descriptor. */
static void unwatch(struct listener *listener, int fd)
{
	epoll_ctl(listener->events, EPOLL_CTL_DEL, fd, NULL);
}

static int read_log(struct listener *listener, struct watch *watch)
{
	struct running *running = (struct running *)watch;

	/* Its end is collected with the process. */
	if (!service_log_read(&running->service.log))
		unwatch(listener, running->service.log.fd);
	return 0;
}

/* Whether one more service would be too many. Who asks again and again fills no log. */
static bool is_full(const struct listener *listener, struct door *door, uid_t user)
{
	const struct service_config *config = door->config;
	unsigned int all = 0, users = 0;
	bool full;

	for (const struct running *each = listener->running; each; each = each->next) {
		all += each->service.config == config;
		users += each->service.config == config && each->service.user == user;
	}
	full = all >= config->most || users >= config->most_of_user;
	if (full && deadline_left(door->quiet) == 0) {
		diag_warning(
			"%s: refused user %u one more mount: there are %u of %u, and %u of %u for "
			"that user",
			config->type, user, all, config->most, users, config->most_of_user);
		door->quiet = deadline_in(QUIET_SECONDS);
	}
	return full;
}

static int start(struct listener *listener, struct door *door, int connection)
{
	_cleanup_file_ FILE *subordinates = fopen("/etc/subuid", "re");
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t size = sizeof(peer);
	struct caller caller;
	struct running *running;
	int error;

	if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	caller = (struct caller){ peer.pid, peer.uid, subuid_counts_for(subordinates, peer.uid) };
	if (is_full(listener, door, caller.counts_for))
		return 0;
	running = calloc(1, sizeof(*running));
	if (!running)
		return -ENOMEM;
	running->watch.ready = read_log;
	error = running_service_start(listener->context, door->config, &caller, connection,
				      &running->service);
	if (error < 0) {
		free(running);
		return error;
	}
	running->next = listener->running;
	listener->running = running;
	/* One that cannot be watched is read when it has ended. */
	(void)watch(listener, running->service.log.fd, &running->watch);
	return 0;
}

static int open_door(struct listener *listener, struct watch *watch)
{
	struct door *door = (struct door *)watch;
	_cleanup_close_ int connection = accept4(door->fd, NULL, NULL, SOCK_CLOEXEC);
	int error = 0;

	if (connection < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
		return 0;
	error = connection < 0 ? -errno : start(listener, door, connection);
	if (error < 0) {
		struct timespec pause = { .tv_nsec = PAUSE };

		/* No reason to end: others may give back what is lacking. */
		diag_warning("%s: cannot start a service: %s", door->config->type,
			     strerror(-error));
		while (nanosleep(&pause, &pause) < 0 && errno == EINTR)
			;
	}
	return 0;
}

static void collect(struct listener *listener)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct running **link = &listener->running;

		while (*link && (*link)->service.pid != pid)
			link = &(*link)->next;
		if (*link) {
			struct running *ended = *link;

			*link = ended->next;
			unwatch(listener, ended->service.log.fd);
			running_service_end(listener->context, &ended->service, status);
			free(ended);
		}
	}
}

static int take_signals(struct listener *listener, struct watch *watch)
{
	struct signalfd_siginfo signal;

	(void)watch;
	while (read(listener->signals, &signal, sizeof(signal)) == (ssize_t)sizeof(signal)) {
		if (signal.ssi_signo == SIGCHLD)
			collect(listener);
		else
			listener->ended = true;
	}
	return 0;
}

static void interrupt(int number)
{
	(void)number;
}

/* Sends a signal again and again, which does nothing; or no more, for 0. */
static void interrupt_each(long microseconds)
{
	const struct timeval time = { .tv_usec = microseconds };

	setitimer(ITIMER_REAL, &(struct itimerval){ .it_interval = time, .it_value = time }, NULL);
}

static int open_signals(struct listener *listener)
{
	const struct sigaction interruption = { .sa_handler = interrupt, .sa_flags = SA_RESTART };
	static const int numbers[] = { INTERRUPT_SIGNALS, SIGCHLD };
	sigset_t set = interrupt_signal_set(numbers, ARRAY_SIZE(numbers));

	/* Who reads what is said may go away; and who started this may have ignored its children.
	 */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigaction(SIGALRM, &interruption, NULL);
	if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
		return -errno;
	listener->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (listener->signals < 0)
		return -errno;
	listener->signal_watch.ready = take_signals;
	return watch(listener, listener->signals, &listener->signal_watch);
}

static int make_door(struct listener *listener, const struct service_config *config,
		     struct door *door)
{
	const char *why = NULL;
	int error = 0;

	*door = (struct door){ .watch.ready = open_door, .config = config };
	door->fd = socket_dir_listen(config->type, &door->path, &why);
	if (door->fd < 0)
		error = door->fd;
	else if (lstat(door->path, &door->status) < 0)
		error = -errno;
	else
		error = watch(listener, door->fd, &door->watch);
	if (error < 0)
		diag_error("cannot offer %s%s%s: %s", config->type, why ? ": " : "", why ? why : "",
			   strerror(-error));
	return error;
}

static void close_door(struct door *door)
{
	if (door->path && door->fd >= 0)
		socket_dir_remove(door->path, &door->status);
	door->fd = close_fd(door->fd);
	free(door->path);
}

static int wait_for_all(struct listener *listener)
{
	/* One at a time: what it does may end another. */
	while (!listener->ended) {
		struct epoll_event event;
		struct watch *what;
		int count = epoll_wait(listener->events, &event, 1, -1), error;

		if (count < 0 && errno != EINTR)
			return -errno;
		what = count > 0 ? event.data.ptr : NULL;
		interrupt_each(LONGEST_WAIT);
		error = what ? what->ready(listener, what) : 0;
		interrupt_each(0);
		if (error < 0)
			return error;
	}
	return 0;
}

static int open_doors(struct listener *listener, const struct service_configs *configs)
{
	listener->doors = calloc(configs->count, sizeof(*listener->doors));
	if (!listener->doors)
		return -ENOMEM;
	while (listener->count < configs->count) {
		struct door *door = &listener->doors[listener->count];
		int error = make_door(listener, &configs->list[listener->count++], door);

		if (error < 0)
			return error;
	}
	return 0;
}

static void close_all(struct listener *listener)
{
	interrupt_each(LONGEST_WAIT);
	for (size_t i = 0; i < listener->count; i++)
		close_door(&listener->doors[i]);
	free(listener->doors);
	while (listener->running) {
		struct running *running = listener->running;

		listener->running = running->next;
		service_log_close(&running->service.log);
		free(running);
	}
	close_fd(listener->signals);
	close_fd(listener->events);
	interrupt_each(0);
}

int listener_run(const struct service_configs *configs, struct service_context *context)
{
	struct listener listener = { .context = context, .signals = -1 };
	int error = 0;

	listener.events = epoll_create1(EPOLL_CLOEXEC);
	if (listener.events < 0)
		error = -errno;
	if (error == 0)
		error = open_signals(&listener);
	if (error < 0)
		diag_error("cannot prepare to listen: %s", strerror(-error));
	if (error == 0)
		error = open_doors(&listener, configs);
	if (error == 0) {
		error = wait_for_all(&listener);
		if (error < 0)
			diag_error("cannot go on: %s", strerror(-error));
	}
	close_all(&listener);
	return error;
}
