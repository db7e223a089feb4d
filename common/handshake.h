/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The helper's side of the handshake: HELLO, and the service's answer. Between the two the service
 * is being started.
 */
#pragma once

#include "channel.h"

#include <stdint.h>

/* Sends HELLO with FLAGS (WIRE_HELLO_*). Returns 0 or what channel_send() says. */
int handshake_begin(struct channel *channel, uint32_t flags);

/*
 * Receives the answer. *VERSIONP: the version that the service says it speaks, 0 for none.
 * Returns 0; -EPROTO where that is not this one, or the answer is none; or what channel_receive()
 * says.
 */
int handshake_answer(struct channel *channel, uint16_t *versionp);

/*
 * Shakes hands with the service at PATH and leaves: the service sees the connection end where it
 * expects its command line. It has SECONDS to answer. *VERSIONP as above; *MILLISECONDSP: the time
 * until its answer came, or until none will. Returns 0, what channel_connect() says, or as above.
 */
int handshake_try(const char *path, unsigned int seconds, uint16_t *versionp, int *millisecondsp);
