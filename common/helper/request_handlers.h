/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The requests that a service can send after the handshake: one table of states and handlers.
 * request_policy.c decides what a request may contain.
 */
#pragma once

#include "helper/session_state.h"
#include "protocol/wire.h"

#include <stdbool.h>

/* Return true if the service may send packets of this KIND as requests. */
bool request_is_known(enum wire_kind kind);

/*
 * Handle the request PACKET, whose kind is known, and send the reply. MALFORMED is 0, or the
 * negative errno of wire_decode(): then only the kind of PACKET is valid.
 * Return 0, also if the request is refused; or an error of channel_send().
 */
int request_handle(struct session *session, const struct wire_packet *packet, int malformed);
