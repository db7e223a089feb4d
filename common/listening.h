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

#include "words.h"

#include <stdint.h>

struct listening {
	struct listening_file {
		uint32_t device, inode;
	} * files; /* of the sockets, wherever these are by now */
	size_t count;
	struct words paths; /* as they were bound, where there are no files */
};

/*
 * Asks the kernel, which need not know sock_diag(7). Returns 0 or a negative errno;
 * listening_free() releases LISTENING either way.
 */
int listening_load(struct listening *listening);

/* Whether somebody listens at the socket that has PATH. */
bool listening_at(const struct listening *listening, const char *path);

void listening_free(struct listening *listening);

#define _cleanup_listening_ __attribute__((cleanup(listening_free)))
