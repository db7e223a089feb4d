/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which sockets of the protocol's kind, AF_UNIX and SOCK_SEQPACKET, somebody listens at, as the
 * kernel knows it: nobody is connected to. Listeners in other network namespaces are not seen.
 */
#pragma once

#include "words.h"

#include <stdint.h>

struct listening {
	struct words paths; /* as they were bound, by /proc/net/unix */
	struct listening_file {
		uint32_t device, inode;
	} * files; /* of the sockets' files, wherever these are by now, by sock_diag(7) */
	size_t count;
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
