/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The helper's side of the protocol: one mount, from the first packet to the last.
 *
 * The service is hostile. Everything that it can request is the table in request_handlers.c.
 */
#pragma once

#include "helper/session_state.h"

/*
 * Run the session to its end: handshake, requests, goodbye, and attaching of the mount.
 * Return 0 if the filesystem is mounted; or a negative errno, and nothing is mounted.
 * On failure SESSION->reason is the reason. On success it is a warning for the caller, or "".
 */
int session_run(struct session *session);
