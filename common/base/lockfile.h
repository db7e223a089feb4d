/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A lock file with many numbered locks, shared by all processes of fsvc.
 *
 * Only root can open the file: a user who could open it could hold a lock forever.
 */
#pragma once

#include <stdbool.h>

/*
 * The lock for creating and removing service sockets. For user IDs (sandbox_user.h) the lock number
 * is the user ID.
 */
#define LOCKFILE_SOCKETS 0

/*
 * Take lock NUMBER of the file PATH, which is created if it does not exist. If WAIT is true, wait
 * until the current holder releases the lock.
 *
 * The lock is an open file description lock (F_OFD_SETLK, fcntl(2)): it is held until the last copy
 * of the returned file descriptor is closed, in this process or a child.
 *
 * Return the file descriptor, close-on-exec, owned by the caller; -EAGAIN if the lock is taken and
 * WAIT is false; or another negative errno.
 */
int lockfile_take(const char *path, unsigned int number, bool wait);
