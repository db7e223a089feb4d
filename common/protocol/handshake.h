/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The helper's side of the handshake: HELLO, and the service's answer. Between the two the service
 * is being started.
 */
#pragma once

#include "protocol/channel.h"

#include <stdint.h>

/* Sends HELLO with FLAGS (WIRE_HELLO_*). Returns 0 or what channel_send() says. */
int handshake_send_hello(struct channel *channel, uint32_t flags);

/*
 * Receives the answer. *VERSIONP: the version that the service says it speaks, 0 for none.
 * Returns 0; -EPROTO where that is not this one, or the answer is none; or what channel_receive()
 * says.
 */
int handshake_receive_reply(struct channel *channel, uint16_t *versionp);

/* One of several handshakes at the same time. */
struct handshake {
	const char *path; /* of the service's socket; NULL: with nobody */
	uint16_t version; /* as above */
	int elapsed_ms;   /* until its answer came, or until none will; -1 where nobody listens */
	int error;        /* 0; what channel_connect() says, or as above; -EPERM without a path */
	struct channel channel;
};

/*
 * Shakes hands with the services at the paths of ALL, and leaves: they see the connection end where
 * they expect their command line. They have SECONDS to answer.
 */
void handshake_try_all(struct handshake *all, size_t count, unsigned int seconds);
