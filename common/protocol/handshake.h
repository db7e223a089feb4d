/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The helper's side of the handshake: the HELLO packet and the reply of the service. The service is
 * started between the two.
 */
#pragma once

#include "protocol/channel.h"

#include <stdint.h>

/* Send HELLO with FLAGS (WIRE_HELLO_*). Return 0 or an error of channel_send(). */
int handshake_send_hello(struct channel *channel, uint32_t flags);

/*
 * Receive the reply. Store the version that the service supports, or 0, in *VERSIONP. Return 0;
 * -EPROTO if it is another version or the packet is not a reply; or an error of channel_receive().
 */
int handshake_receive_reply(struct channel *channel, uint16_t *versionp);

/* One of several handshakes at the same time. */
struct handshake {
	const char *path; /* path of the service's socket; NULL: do not connect */
	uint16_t version; /* version that the service supports, or 0 */
	int elapsed_ms;   /* time until the reply or the failure; -1 if no service listens */
	int error;        /* 0, -EPERM without a path, or an error of channel_connect() or
			     handshake_receive_reply() */
	struct channel channel;
};

/*
 * Do the COUNT handshakes in HANDSHAKES at the same time, with a common time limit of SECONDS, and
 * close the connections. The services see the connection closed before the command line arrives.
 */
void handshake_try_all(struct handshake *handshakes, size_t count, unsigned int seconds);
