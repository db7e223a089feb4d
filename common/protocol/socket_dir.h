/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directory with one socket for each type of filesystem, and whom to trust there.
 */
#pragma once

#include "base/strv.h"
#include "config.h"

#include <stdbool.h>
#include <sys/stat.h>

/*
 * Finds the socket for SUBTYPE, if nobody but root can have put it there: owned by root, in a
 * directory that root owns and nobody else writes. *PATHP: its path, which the caller frees; also
 * on failure, or NULL. *WHY: for a person, where it is not trusted; else NULL. Returns 0, -ENOENT,
 * also in a user namespace without the system's root, -EPERM where it is not trusted,
 * -ENAMETOOLONG, or -ENOMEM.
 */
int socket_dir_find(const char *subtype, char **pathp, const char **why);

/*
 * Makes the directory, where it is not there. *WHY as above. Returns 0, -EPERM where it is not
 * trusted, or another negative errno, also where it cannot be written.
 */
int socket_dir_create(const char **why);

/*
 * Makes the socket for SUBTYPE, with the permissions that the build says, in the place of one that
 * nobody listens at; no descriptors can be sent there (Linux 6.16), see
 * channel_accept_descriptors(). For root. *PATHP and *WHY as above. Returns the socket, listening,
 * which does not block; or a negative errno, -EADDRINUSE where somebody listens there.
 */
int socket_dir_listen(const char *subtype, char **pathp, const char **why);

/*
 * Removes the socket at PATH, of which STATUS was taken, unless another is there by now.
 */
void socket_dir_remove(const char *path, const struct stat *status);

/*
 * Adds to TYPES the name of each socket in the directory, trusted or not.
 * Returns 0, also where there is no directory, or a negative errno.
 */
int socket_dir_list_types(struct strv *types);

/*
 * The type whose socket has PATH; NULL where PATH is not in the directory. It points into PATH.
 */
const char *socket_dir_parse_type(const char *path);
