/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directory of service sockets, one for each filesystem type, and the check that only root can
 * have created them.
 */
#pragma once

#include "base/strv.h"
#include "config.h"

#include <stdbool.h>
#include <sys/stat.h>

/*
 * Find the socket for SUBTYPE and check that root owns it and its directory, and that only root can
 * write to the directory.
 * Store in *PATHP the path, which the caller frees; it may be set on failure too, or NULL. Store in
 * *REASON why the socket is not trusted, or NULL.
 * Return 0; -ENOENT, also in a user namespace in which root does not exist; -EPERM if the socket is
 * not trusted; -ENAMETOOLONG; or -ENOMEM.
 */
int socket_dir_find(const char *subtype, char **pathp, const char **reason);

/*
 * Create the directory if it does not exist. REASON is as above. Return 0; -EPERM if it is not
 * trusted; or another negative errno, also if it is not writable.
 */
int socket_dir_create(const char **reason);

/*
 * Create the socket for SUBTYPE, with the permissions configured at build time, and listen on it.
 * Replace a socket on which no service listens. The socket refuses file descriptors (Linux 6.16),
 * see channel_accept_descriptors(). Only root can do this. PATHP and REASON are as above. Return
 * the socket, which does not block, owned by the caller; or a negative errno, -EADDRINUSE if a
 * service listens already.
 */
int socket_dir_listen(const char *subtype, char **pathp, const char **reason);

/* Remove the socket at PATH if it is still the one that STATUS describes. */
void socket_dir_remove(const char *path, const struct stat *status);

/*
 * Append the name of each socket in the directory to TYPES, whether it is trusted or not. Return 0,
 * also if there is no directory, or a negative errno.
 */
int socket_dir_list_types(struct strv *types);

/*
 * Return the type of the socket at PATH, or NULL if PATH is not in the directory. The result points
 * into PATH.
 */
const char *socket_dir_parse_type(const char *path);
