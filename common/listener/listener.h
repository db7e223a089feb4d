/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A service manager in one process: waits at the sockets of all offers, and starts a contained
 * service for each connection.
 */
#pragma once

#include "listener/running_service.h"
#include "listener/service_config.h"

/*
 * Makes the sockets, and serves until SIGTERM, SIGINT or SIGHUP: then takes the sockets away, and
 * leaves the services that run alone. Returns 0, or a negative errno after a message.
 */
int listener_run(const struct service_configs *configs, struct service_context *context);
