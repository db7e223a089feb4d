/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directory with one socket for each type of filesystem, and whom to trust there.
 */
#pragma once

#include "config.h"
#include "words.h"

#include <stdbool.h>
#include <sys/stat.h>

/* A file with locks that all listeners share; root's alone. */
#define SOCKETDIR_LOCK SERVICE_SOCKET_DIR "/.lock"

/* The lock for making and removing sockets; the other numbers are those of users. */
#define SOCKETDIR_SOCKETS 0

/*
 * Takes the lock with that number, and waits for it if WAIT says so. It is held as long as the
 * descriptor is open that is returned, here or in a child. Returns that; -EAGAIN where somebody
 * else has it; or another negative errno.
 */
int socketdir_lock(unsigned int number, bool wait);

/*
 * Finds the socket for SUBTYPE, if nobody but root can have put it there: owned by root, in a
 * directory that root owns and nobody else writes. *PATHP: its path, which the caller frees; also
 * on failure, or NULL. *WHY: for a person, where it is not trusted; else NULL. Returns 0, -ENOENT,
 * also in a user namespace without the system's root, -EPERM where it is not trusted,
 * -ENAMETOOLONG, or -ENOMEM.
 */
int socketdir_find(const char *subtype, char **pathp, const char **why);

/*
 * Makes the directory, where it is not there. *WHY as above. Returns 0, -EPERM where it is not
 * trusted, or another negative errno, also where it cannot be written.
 */
int socketdir_make(const char **why);

/*
 * Makes the socket for SUBTYPE, with the permissions that the build says, in the place of one that
 * nobody listens at; no descriptors can be sent there (Linux 6.16), see channel_take_descriptors().
 * For root. *PATHP and *WHY as above.
 * Returns the socket, listening, which does not block; or a negative errno, -EADDRINUSE where
 * somebody listens there.
 */
int socketdir_listen(const char *subtype, char **pathp, const char **why);

/*
 * Removes the socket at PATH, of which STATUS was taken, unless another is there by now.
 */
void socketdir_leave(const char *path, const struct stat *status);

/*
 * Adds to TYPES the name of each socket in the directory, trusted or not.
 * Returns 0, also where there is no directory, or a negative errno.
 */
int socketdir_list(struct words *types);

/*
 * The type whose socket has PATH; NULL where PATH is not in the directory. It points into PATH.
 */
const char *socketdir_type(const char *path);
