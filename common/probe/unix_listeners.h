/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The listening AF_UNIX sockets of type SOCK_SEQPACKET, which the protocol uses, in this network
 * namespace. No connection is made.
 *
 * Sockets are identified by the inode of their file (sock_diag(7)). /proc/net/unix only has the
 * path that a process passed to bind(2), which can be in another root directory or contain a
 * newline. It is used only if the kernel has no sock_diag for AF_UNIX.
 */
#pragma once

#include "base/strv.h"

#include <stdint.h>

struct unix_listeners {
	struct unix_listeners_file {
		uint32_t device, inode;
	} * files; /* of the sockets */
	size_t count;
	struct strv paths; /* as passed to bind(2), if the kernel has no sock_diag */
};

/* Load the list. Return 0 or a negative errno; unix_listeners_free() releases LISTENERS in any
 * case. */
int unix_listeners_load(struct unix_listeners *listeners);

/* Return true if a process listens on the socket at PATH. */
bool unix_listeners_include(const struct unix_listeners *listeners, const char *path);

void unix_listeners_free(struct unix_listeners *listeners);

#define _cleanup_unix_listeners_ __attribute__((cleanup(unix_listeners_free)))
