/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The socket between helper and server: one packet at a time, at most one descriptor with it, and
 * an end to every wait. Nobody else touches a control message.
 */
#pragma once

#include "protocol/wire.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct channel {
	int fd;           /* the socket, or -1; channel_close() closes it */
	int64_t deadline; /* no wait goes on after this, see deadline.h */
	int interrupt;    /* a signalfd(2) that ends a wait when it is readable, or -1 */

	/* Room for a packet each way, made when it is needed; channel_close() frees it. */
	char *buffer;

	/* Who sent the last packet, as the kernel says; 0: not known. See channel_enable_sender().
	 */
	pid_t sender_pid;
	bool receives_sender;

	/* See channel_set_progress(). */
	const char *progress_description;
	int64_t progress_at;
};

/*
 * From here on, a wait is for WHAT: a person at a terminal reads so, once, when it takes over 2 s.
 */
void channel_set_progress(struct channel *channel, const char *what);

/*
 * Connects to the SOCK_SEQPACKET socket at PATH, and stores the socket in CHANNEL->fd.
 * Returns 0; -ENOENT or -ECONNREFUSED where nobody listens; -ENOBUFS where the kernel gives the
 * socket too small a send buffer for the protocol (nothing is connected then); -ENAMETOOLONG;
 * -ETIMEDOUT, -EINTR; or what connect(2) says.
 */
int channel_connect(struct channel *channel, const char *path);

/* 0 while there is time and no signal asks to end; else -ETIMEDOUT or -EINTR. */
int channel_check_deadline(const struct channel *channel);

/* 0 where the send buffer of the socket FD holds the protocol's largest command, else -ENOBUFS. */
int channel_check_buffer(int fd);

/*
 * Tells the kernel to drop descriptors that the other side sends (SO_PASSRIGHTS, Linux 6.16).
 * A kernel that does not know how is fine: 0.
 */
int channel_refuse_descriptors(int fd);

/* Undoes that, as on a connection to a socket that refuses them. The same. */
int channel_accept_descriptors(int fd);

/*
 * From here on the kernel says who sends each packet, for CHANNEL->sender (SO_PASSCRED, unix(7)).
 * Who has accepted the connection need not be who speaks: a service manager accepts for others.
 * To be called before the first packet goes out. Returns 0 or a negative errno.
 */
int channel_enable_sender(struct channel *channel);

/*
 * Sends PACKET, and a copy of FD with it where FD is not negative.
 * Returns 0; -EMSGSIZE for a packet that is larger than the protocol allows; -ETIMEDOUT, -EINTR,
 * -EPIPE; or what sendmsg(2) says.
 */
int channel_send(struct channel *channel, const struct wire_packet *packet, int fd);

/*
 * Sends a copy of FD with one byte, as fusermount(1) does, over SOCKET, which may be of any type.
 * Returns 0 or what sendmsg(2) says.
 */
int channel_send_fd(int socket, int fd);

/*
 * Receives a packet. PACKET->text is good until the next one is received.
 * FDP: where the descriptor that came with it goes, close-on-exec, -1 for none; the caller owns it.
 * NULL: none is wanted, and one that comes is never seen by this process.
 * Returns 0; -EPROTO or -EINVAL for a packet that wire_decode() does not take, *FDP being -1 then;
 * -ECONNRESET where the other side has hung up; -EBADMSG where a descriptor was cut out on its way,
 * or what came is not one descriptor; -ETIMEDOUT, -EINTR; or what recvmsg(2) says.
 */
int channel_receive(struct channel *channel, struct wire_packet *packet, int *fdp);

/* Closes the socket, if it is open, and gives back the room. */
void channel_close(struct channel *channel);
