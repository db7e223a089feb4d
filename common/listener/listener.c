/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listener/listener.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/diag.h"
#include "base/interrupt.h"
#include "listener/user_limit.h"
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

/* Pause after accept4(2) or fork(2) failed for lack of file descriptors, memory or processes. */
#define RETRY_PAUSE_NS 100000000

/*
 * Before Linux 6.16 a peer can send a TCP socket with SO_LINGER over its connection. If this
 * process closes the last reference to it, close(2) may take hours. A signal ends that wait after
 * this time.
 */
#define CLOSE_TIMEOUT_US 10000

/* Report at most one refused mount per type in this time. */
#define REPORT_INTERVAL_S 5

struct listener;

/*
 * The function to call when a file descriptor in the epoll set is readable. This is the first
 * member of the struct that the function works on.
 */
struct event_source {
	int (*handle)(struct listener *listener, struct event_source *source);
};

struct service_socket {
	struct event_source source;
	const struct service_config *config;
	int fd;
	char *path;
	struct stat status;  /* of the socket at PATH, to recognize it before it is removed */
	int64_t next_report; /* time of the next message about a refused mount, see deadline.h */
};

/* An element of the list of running services. */
struct service_entry {
	struct event_source log_source;
	struct service_entry *next;
	struct running_service service;
};

struct listener {
	struct service_context *context;
	struct service_socket *sockets;
	size_t socket_count;
	struct service_entry *services;
	struct event_source signal_source;
	int epoll_fd, signal_fd;
	bool is_ended;
};

static int add_source(struct listener *listener, int fd, struct event_source *source)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = source };

	return epoll_ctl(listener->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* close() alone does not remove FD from epoll: a forked child that has not called execve(2) yet
 * still holds the same open file description. */
static void remove_source(struct listener *listener, int fd)
{
	epoll_ctl(listener->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static int read_log(struct listener *listener, struct event_source *source)
{
	struct service_entry *entry = (struct service_entry *)source;

	/* The entry itself is removed when the process exits. */
	if (!service_log_read(&entry->service.log))
		remove_source(listener, entry->service.log.fd);
	return 0;
}

/* Report a refused mount, but not each one: a user who tries again and again must not fill the log.
 */
static void report_limit(struct service_socket *socket, uid_t uid, unsigned int total,
			 unsigned int own)
{
	const struct service_config *config = socket->config;

	if (deadline_left(socket->next_report) > 0)
		return;
	if (own >= config->max_mounts_per_user)
		diag_warning("%s: mount refused for uid %u: limit of %u mounts per user reached "
			     "(%u of %u in total)",
			     config->type, uid, config->max_mounts_per_user, total,
			     config->max_mounts);
	else
		diag_warning("%s: mount refused for uid %u: limit of %u mounts in total reached "
			     "(%u of %u for this user)",
			     config->type, uid, config->max_mounts, own,
			     config->max_mounts_per_user);
	socket->next_report = deadline_in(REPORT_INTERVAL_S);
}

/* Return true if one more service for the user UID would exceed a limit. */
static bool limit_is_reached(const struct listener *listener, struct service_socket *socket,
			     uid_t uid)
{
	const struct service_config *config = socket->config;
	unsigned int total = 0, own = 0;

	for (const struct service_entry *entry = listener->services; entry; entry = entry->next) {
		if (entry->service.config != config)
			continue;
		total++;
		own += entry->service.limit_uid == uid;
	}
	if (total < config->max_mounts && own < config->max_mounts_per_user)
		return false;
	report_limit(socket, uid, total, own);
	return true;
}

static int start_service(struct listener *listener, struct service_socket *socket, int connection)
{
	_cleanup_file_ FILE *subuid_table = fopen("/etc/subuid", "re");
	struct ucred credentials = { .uid = (uid_t)-1 };
	socklen_t size = sizeof(credentials);
	struct service_entry *entry;
	struct peer peer;
	int error;

	if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return -errno;
	peer = (struct peer){ credentials.pid, credentials.uid,
			      user_limit_uid(subuid_table, credentials.uid) };
	if (limit_is_reached(listener, socket, peer.limit_uid))
		return 0;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	entry->log_source.handle = read_log;
	error = running_service_start(listener->context, socket->config, &peer, connection,
				      &entry->service);
	if (error < 0) {
		free(entry);
		return error;
	}
	entry->next = listener->services;
	listener->services = entry;
	/* If this fails, the log is read when the service exits. */
	(void)add_source(listener, entry->service.log.fd, &entry->log_source);
	return 0;
}

static int accept_connection(struct listener *listener, struct event_source *source)
{
	struct service_socket *socket = (struct service_socket *)source;
	_cleanup_close_ int connection = accept4(socket->fd, NULL, NULL, SOCK_CLOEXEC);
	int error = 0;

	if (connection < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
		return 0;
	error = connection < 0 ? -errno : start_service(listener, socket, connection);
	if (error < 0) {
		struct timespec pause = { .tv_nsec = RETRY_PAUSE_NS };

		/*
		 * Do not exit: file descriptors, memory or processes may be available again later.
		 */
		diag_warning("%s: cannot start a service: %s", socket->config->type,
			     strerror(-error));
		while (nanosleep(&pause, &pause) < 0 && errno == EINTR)
			;
	}
	return 0;
}

static void reap_services(struct listener *listener)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct service_entry **link = &listener->services;
		struct service_entry *ended;

		while (*link && (*link)->service.pid != pid)
			link = &(*link)->next;
		ended = *link;
		if (!ended)
			continue;
		*link = ended->next;
		remove_source(listener, ended->service.log.fd);
		running_service_end(listener->context, &ended->service, status);
		free(ended);
	}
}

static int read_signals(struct listener *listener, struct event_source *source)
{
	struct signalfd_siginfo signal;

	(void)source;
	while (read(listener->signal_fd, &signal, sizeof(signal)) == (ssize_t)sizeof(signal)) {
		if (signal.ssi_signo == SIGCHLD)
			reap_services(listener);
		else
			listener->is_ended = true;
	}
	return 0;
}

static void ignore_signal(int number)
{
	(void)number;
}

/* Send SIGALRM to this process every MICROSECONDS; 0 stops it. */
static void set_close_timeout(long microseconds)
{
	const struct timeval time = { .tv_usec = microseconds };

	setitimer(ITIMER_REAL, &(struct itimerval){ .it_interval = time, .it_value = time }, NULL);
}

static int open_signals(struct listener *listener)
{
	const struct sigaction alarm_action = { .sa_handler = ignore_signal,
						.sa_flags = SA_RESTART };
	static const int numbers[] = { INTERRUPT_SIGNALS, SIGCHLD };
	sigset_t set = interrupt_signal_set(numbers, ARRAY_SIZE(numbers));

	/* The reader of standard error may exit, and the parent may have ignored SIGCHLD, which
	 * execve(2) preserves. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigaction(SIGALRM, &alarm_action, NULL);
	if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
		return -errno;
	listener->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (listener->signal_fd < 0)
		return -errno;
	listener->signal_source.handle = read_signals;
	return add_source(listener, listener->signal_fd, &listener->signal_source);
}

static int open_socket(struct listener *listener, const struct service_config *config,
		       struct service_socket *socket)
{
	const char *reason = NULL;
	int error = 0;

	*socket = (struct service_socket){ .source.handle = accept_connection, .config = config };
	socket->fd = socket_dir_listen(config->type, &socket->path, &reason);
	if (socket->fd < 0)
		error = socket->fd;
	else if (lstat(socket->path, &socket->status) < 0)
		error = -errno;
	else
		error = add_source(listener, socket->fd, &socket->source);
	if (error < 0)
		diag_error("%s: cannot listen: %s%s%s", config->type, reason ? reason : "",
			   reason ? ": " : "", strerror(-error));
	return error;
}

static void close_socket(struct service_socket *socket)
{
	if (socket->path && socket->fd >= 0)
		socket_dir_remove(socket->path, &socket->status);
	socket->fd = close_fd(socket->fd);
	free(socket->path);
}

static int handle_events(struct listener *listener)
{
	/* One event at a time: its handler may free the source of another. */
	while (!listener->is_ended) {
		struct epoll_event event;
		struct event_source *source;
		int count = epoll_wait(listener->epoll_fd, &event, 1, -1), error;

		if (count < 0 && errno != EINTR)
			return -errno;
		source = count > 0 ? event.data.ptr : NULL;
		set_close_timeout(CLOSE_TIMEOUT_US);
		error = source ? source->handle(listener, source) : 0;
		set_close_timeout(0);
		if (error < 0)
			return error;
	}
	return 0;
}

static int open_sockets(struct listener *listener, const struct service_configs *configs)
{
	listener->sockets = calloc(configs->count, sizeof(*listener->sockets));
	if (!listener->sockets) {
		diag_error("out of memory");
		return -ENOMEM;
	}
	while (listener->socket_count < configs->count) {
		struct service_socket *socket = &listener->sockets[listener->socket_count];
		int error = open_socket(listener, &configs->list[listener->socket_count++], socket);

		if (error < 0)
			return error;
	}
	return 0;
}

static void close_all(struct listener *listener)
{
	set_close_timeout(CLOSE_TIMEOUT_US);
	for (size_t i = 0; i < listener->socket_count; i++)
		close_socket(&listener->sockets[i]);
	free(listener->sockets);
	while (listener->services) {
		struct service_entry *entry = listener->services;

		listener->services = entry->next;
		service_log_close(&entry->service.log);
		free(entry);
	}
	close_fd(listener->signal_fd);
	close_fd(listener->epoll_fd);
	set_close_timeout(0);
}

int listener_run(const struct service_configs *configs, struct service_context *context)
{
	struct listener listener = { .context = context, .signal_fd = -1 };
	int error = 0;

	listener.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (listener.epoll_fd < 0)
		error = -errno;
	if (error == 0)
		error = open_signals(&listener);
	if (error < 0)
		diag_error("cannot set up event handling: %s", strerror(-error));
	if (error == 0)
		error = open_sockets(&listener, configs);
	if (error == 0) {
		error = handle_events(&listener);
		if (error < 0)
			diag_error("cannot wait for connections: %s", strerror(-error));
	}
	close_all(&listener);
	return error;
}
