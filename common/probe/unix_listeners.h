/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which sockets of the protocol's kind, AF_UNIX and SOCK_SEQPACKET, somebody listens at, as the
 * kernel knows it: nobody is connected to. Listeners in other network namespaces are not seen.
 *
 * They are known by their files, as sock_diag(7) has them. /proc/net/unix has the paths that they
 * were bound to, which anybody can choose, in a root directory of his own or with a newline in
 * them: it is read only where the kernel has nothing better.
 */
#pragma once

#include "base/strv.h"

#include <stdint.h>

struct unix_listeners {
	struct unix_listeners_file {
		uint32_t device, inode;
	} * files; /* of the sockets, wherever these are by now */
	size_t count;
	struct strv paths; /* as they were bound, where there are no files */
};

/*
 * Asks the kernel, which need not know sock_diag(7). Returns 0 or a negative errno;
 * unix_listeners_free() releases LISTENING either way.
 */
int unix_listeners_load(struct unix_listeners *listeners);

/* Whether somebody listens at the socket that has PATH. */
bool unix_listeners_include(const struct unix_listeners *listeners, const char *path);

void unix_listeners_free(struct unix_listeners *listeners);

#define _cleanup_unix_listeners_ __attribute__((cleanup(unix_listeners_free)))
