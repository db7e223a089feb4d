/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One mount through a service, from the command line to the last message. fuservicemount3 and
 * mount.fuse3 share it.
 */
#pragma once

#include "helper/exit_status.h"
#include "protocol/mount_args.h"

#include <stdbool.h>

/*
 * Check if a service for SUBTYPE exists. Return 1 if there is a socket that the caller may write
 * to; 0 if not; or -EPERM if the socket is not trusted, so that an attacker who replaces it cannot
 * make the caller mount without a service.
 */
int mount_request_has_service(const char *subtype);

/*
 * Mount with ARGS, which must have a source, a mountpoint and a subtype. Print one line on failure,
 * except if the service does not exist and IS_OPTIONAL is true.
 *
 * Return HELPER_EXIT_NO_SERVICE only if nothing was tried. In this case restore the signal mask and
 * handlers, so that the caller can execute another program. In all other cases signals stay
 * blocked: the process is about to exit.
 */
enum helper_exit_status mount_request_run(const struct mount_args *args, bool is_optional);
