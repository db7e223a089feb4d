/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The socket between helper and service: one packet at a time, at most one file descriptor per
 * packet, and a time limit for every wait. No other module handles control messages.
 */
#pragma once

#include "protocol/wire.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct channel {
	int fd;           /* the socket, or -1; channel_close() closes it */
	int64_t deadline; /* the end of every wait, see deadline.h */
	int interrupt;    /* a signalfd(2) that ends a wait when it is readable, or -1 */

	/* space for a packet in each direction; allocated when needed, freed by channel_close() */
	char *buffer;

	/* the sender of the last packet according to the kernel; 0: unknown */
	pid_t sender_pid;
	bool receives_sender;

	/* for the progress message, see channel_set_progress(); NULL: none */
	const char *progress_description;
	int64_t progress_at;
};

/*
 * Set the description of the current wait. If standard error is a terminal and a wait takes longer
 * than 2 s, it is printed once, as "waiting for DESCRIPTION". DESCRIPTION is borrowed.
 */
void channel_set_progress(struct channel *channel, const char *description);

/*
 * Connect to the SOCK_SEQPACKET socket at PATH and store the socket in CHANNEL->fd. Return 0;
 * -ENOENT or -ECONNREFUSED if no service listens; -ENOBUFS if the kernel's send buffer is too small
 * for the protocol, and nothing is connected; -ENAMETOOLONG; -ETIMEDOUT; -EINTR; or an error of
 * connect(2).
 */
int channel_connect(struct channel *channel, const char *path);

/* Return -EINTR if a signal has arrived, -ETIMEDOUT if the deadline has passed, otherwise 0. */
int channel_check_deadline(const struct channel *channel);

/*
 * Return 0 if the send buffer of the socket FD holds the largest packet of the protocol, otherwise
 * -ENOBUFS.
 */
int channel_check_buffer(int fd);

/*
 * Make the kernel drop file descriptors that the other side sends (SO_PASSRIGHTS, Linux 6.16).
 * Return 0, also if the kernel does not support it; or a negative errno.
 */
int channel_refuse_descriptors(int fd);

/* Allow them again: a connection inherits the setting of the listening socket. Return as above. */
int channel_accept_descriptors(int fd);

/*
 * Make the kernel report the sender of each packet in CHANNEL->sender_pid (SO_PASSCRED, unix(7)).
 * The process that accepted the connection may be a service manager and not the sender. Call this
 * before the first packet is sent. Return 0 or a negative errno.
 */
int channel_enable_sender(struct channel *channel);

/*
 * Send PACKET and, unless it is negative, a copy of FD. Return 0; -EMSGSIZE if the packet is larger
 * than the protocol allows; -ETIMEDOUT; -EINTR; -EPIPE; or an error of sendmsg(2).
 */
int channel_send(struct channel *channel, const struct wire_packet *packet, int fd);

/*
 * Send a copy of FD with one byte, as fusermount(1) does, over SOCKET, which may be of any type.
 * Return 0 or an error of sendmsg(2).
 */
int channel_send_fd(int socket, int fd);

/*
 * Receive a packet. PACKET->text is valid until the next packet is received.
 *
 * If FDP is not NULL, store the file descriptor that came with the packet, close-on-exec and owned
 * by the caller, or -1. If FDP is NULL, the kernel drops any file descriptor.
 *
 * Return 0; -EPROTO or -EINVAL if wire_decode() fails; -ECONNRESET if the other side has closed the
 * connection; -EBADMSG if the control message is truncated or is not one file descriptor;
 * -ETIMEDOUT; -EINTR; or an error of recvmsg(2). On failure *FDP is -1.
 */
int channel_receive(struct channel *channel, struct wire_packet *packet, int *fdp);

/* Close the socket, if it is open, and free the buffer. */
void channel_close(struct channel *channel);
