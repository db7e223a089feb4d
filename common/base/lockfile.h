/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One lock file with many locks, each with a number, shared by all processes of fsvc.
 *
 * Only root can open the file: anyone who can open it could hold a lock for ever and block all
 * others.
 */
#pragma once

#include <stdbool.h>

/* The lock for creating and removing service sockets. User IDs are locked by their own number. */
#define LOCKFILE_SOCKETS 0

/*
 * Take lock NUMBER in the file PATH, which is created if it does not exist. If WAIT is set, wait
 * until another holder releases it.
 *
 * Uses open file description locks (F_OFD_SETLK, fcntl(2)): the lock is held until the last copy
 * of the returned descriptor is closed, in this process or in a child.
 * Return the descriptor, close-on-exec, owned by the caller; -EAGAIN if the lock is taken and WAIT
 * is not set; or another negative errno.
 */
int lockfile_take(const char *path, unsigned int number, bool wait);
