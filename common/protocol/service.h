/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server's side of the protocol, for what runs as a service: the library's API for FUSE servers
 * (fuse_service.c) and fsvc-open. It knows nothing of libfuse.
 *
 * Functions return 0 or a negative errno: the helper's for a command that it refused, -EBADMSG or
 * -EPROTO for an answer that is none, or what channel.h says.
 */
#pragma once

#include "protocol/channel.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct service {
	struct channel channel; /* .fd is -1 once the connection has ended */
	uint32_t granted;       /* WIRE_HELLO_* */
	int argc;
	char **argv; /* the helper's command line, [0] the subtype; NULL-terminated */
	int fusedev; /* an open /dev/fuse, or -1 */
};

/* A mount as the server asks for it. */
struct service_mount {
	bool fuseblk;
	const char *source, *mountpoint;
	mode_t format;              /* S_IFDIR, S_IFREG, or 0 for either */
	const char *kernel_options; /* comma-separated, or NULL */
	const char *table_options;  /* comma-separated, or NULL */
	uint32_t flags;             /* MS_* */
};

/*
 * Takes the connection that a service manager passed on (sd_listen_fds(3)) and does the handshake.
 * *SERVICEP: the service, which service_free() releases; NULL, with 0, where no socket was passed.
 */
int service_accept(struct service **servicep);

/*
 * Asks for PATH to be opened with FLAGS; BLOCK: it must be a block device, with BLOCK_SIZE set on
 * it unless 0. QUIET: the person hears nothing of a failure. The answer is fetched by
 * service_receive_file().
 */
int service_request_file(struct service *service, const char *path, uint32_t flags,
			 uint32_t create_mode, uint32_t request_flags);
int service_request_block_device(struct service *service, const char *path, uint32_t flags,
				 uint32_t create_mode, uint32_t request_flags, uint32_t block_size);

/*
 * Fetches the answer for PATH. *FDP: the descriptor, close-on-exec, which the caller owns, or the
 * negative errno with which the helper failed to open it. The return value is about the connection:
 * -EBADMSG for an answer that is about another path, or lacks its descriptor.
 */
int service_receive_file(struct service *service, const char *path, int *fdp);

/* No descriptor is wanted any more. */
int service_refuse_descriptors(struct service *service);

/* Asks for the mount, command by command; it appears with a goodbye of 0. */
int service_request_mount(struct service *service, const struct service_mount *mount);

/* Asks to drop the mount again. */
int service_request_unmount(struct service *service);

/* Ends the connection; EXITCODE is 0 where the filesystem is served. A second call does nothing. */
int service_send_goodbye(struct service *service, uint32_t exitcode);

/* Closes what is open: nothing can be asked for any more. */
void service_close(struct service *service);

/* The same, and frees SERVICE, which may be NULL. */
void service_free(struct service *service);
