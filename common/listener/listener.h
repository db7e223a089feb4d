/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The main loop of fsvc-listen: a service manager in one process. It listens on the sockets of all
 * configured types and starts a sandboxed service for each connection.
 */
#pragma once

#include "listener/running_service.h"
#include "listener/service_config.h"

/*
 * Create the sockets and serve them until SIGTERM, SIGINT or SIGHUP; then remove the sockets.
 * Services that run are not affected. Return 0, or a negative errno after printing a message.
 */
int listener_run(const struct service_configs *configs, struct service_context *context);
