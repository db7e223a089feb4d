/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The processes of an unmodified server, under the filter of the broker. The server may fork, run
 * as a daemon, and be killed.
 */
#pragma once

#include "broker/broker.h"

#include <stdbool.h>
#include <sys/types.h>

struct server_process {
	/* Set by the caller. */
	struct broker *broker;
	const char *package; /* name of the server's package, for a message; or NULL */
	bool use_landlock;   /* restrict the server with landlock.h */

	/* State. */
	pid_t pid;       /* the process that was started; 0 after its exit */
	int signal_fd;   /* signalfd(2) */
	int mount_epoll; /* see server_process_watch_mount(), or -1 */
	int status;      /* wait status (waitpid(2)) of the process that exited last */
	bool has_children;
	bool end_signal_forwarded; /* SIGTERM, SIGINT or SIGHUP, only once */
};

/* The exit status of a process that could not execute the server and has printed a message. */
#define EXIT_NOT_EXECUTED 127

/*
 * Start PROGRAM, which is looked up in PATH, with ARGV under the filter. Directories of fsvc come
 * first in PATH: the server runs fsvc's fusermount3. It inherits only standard input, output and
 * error.
 *
 * From now on, this process becomes the parent of orphaned children of the server
 * (PR_SET_CHILD_SUBREAPER, prctl(2)) and receives signals only through SERVER->signal_fd.
 * Return 0; -ENOSYS if the kernel has no notifications; or another negative errno. If PROGRAM
 * cannot be executed, the child prints a message and exits with EXIT_NOT_EXECUTED.
 */
int server_process_start(struct server_process *server, const char *program, char *const *argv);

/*
 * Wait until the server serves: it has read the first request of FUSEDEV, or it runs as a daemon.
 * Stop waiting if the helper closes CONNECTION.
 * Return 0; an exit status above 0 if the server has exited; -ECONNRESET if the helper has closed
 * the connection; or another negative errno.
 */
int server_process_wait_served(struct server_process *server, int fusedev, int connection);

/*
 * Watch for the end of the mount without keeping FUSEDEV open: the mount lives as long as any
 * process has FUSEDEV open, so close it after this call. Return 0 or a negative errno.
 */
int server_process_watch_mount(struct server_process *server, int fusedev);

/*
 * Forward signals to the server's processes and reap them until none is left. A signal that ends
 * the server is forwarded only once, and not after the mount has ended. A server that still runs 15
 * minutes after the end of the mount is killed. Return the exit status of the process that exited
 * last; 128 plus the signal if one killed it.
 */
int server_process_wait_end(struct server_process *server);

/*
 * Send SIGTERM to all processes of the server, and SIGKILL after SECONDS. Processes that fork
 * faster than they can be killed remain.
 */
void server_process_kill(struct server_process *server, unsigned int seconds);
