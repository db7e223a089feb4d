/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a server that knows nothing of services, and outlives it: it may fork, daemonize and be
 * killed.
 */
#pragma once

#include "broker/broker.h"

#include <sys/types.h>

struct server_process {
	/* Set by the caller: who answers the server's system calls; the package that the server
	 * is in, for who has to install it, or NULL. */
	struct broker *broker;
	const char *package;
	int confined; /* whether the server loses what confine.h says */

	pid_t pid;       /* the process that was started; 0 when it has ended */
	int signals;     /* a signalfd(2) */
	int mount;       /* an epoll(7) that tells when the mount has ended, or -1 */
	int status;      /* wait status of the process that ended last */
	int children;    /* whether any are left */
	int told_to_end; /* whether a signal that ends it was passed on */
};

/*
 * Starts PROGRAM (found by PATH, in which fsvc's stand-ins come first) with ARGV under the broker's
 * filter, with no descriptor but 0, 1 and 2. From here on this process gets the orphans among the
 * server's children, and takes signals by LAUNCH->signals alone. Returns 0 or a negative errno,
 * -ENOSYS where there can be no filter; a program that cannot be run says so itself and ends with
 * 127.
 */
int server_process_start(struct server_process *server, const char *program, char *const *argv);

/*
 * Waits until the server serves: it has read the first request of FUSEDEV, or has daemonized.
 * CONNECTION is watched: when it hangs up, nobody wants the server any more.
 * Returns 0; an exit code above 0 where the server has ended; -ECONNRESET; or a negative errno.
 */
int server_process_wait_served(struct server_process *server, int fusedev, int connection);

/*
 * Learns from FUSEDEV when the mount has ended, without holding it: the caller may, and must, close
 * FUSEDEV afterwards, since a mount lives as long as anybody has it open. Returns 0 or a negative
 * errno.
 */
int server_process_watch_mount(struct server_process *server, int fusedev);

/*
 * Passes signals on to the server's processes and collects them until none is left. A signal that
 * ends the server is passed on once, and not when it is unmounted already.
 * One that has not ended a quarter of an hour after the unmounting is killed.
 * Returns the exit code of the one that ended last, 128 and more for a signal, as shells have it.
 */
int server_process_wait_end(struct server_process *server);

/*
 * Asks all processes of the server to end, and ends those that have not after SECONDS. What forks
 * faster than it can be killed is left.
 */
void server_process_end(struct server_process *server, unsigned int seconds);
