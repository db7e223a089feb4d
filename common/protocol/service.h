/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The service's side of the protocol, for libfsvc (fuse_service.c) and fsvc-open. It does not use
 * libfuse.
 *
 * Functions return 0 or a negative errno: the errno with which the helper refused a request,
 * -EBADMSG or -EPROTO for an invalid reply, or an error listed in channel.h.
 */
#pragma once

#include "protocol/channel.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct service {
	struct channel channel; /* .fd is -1 after the end of the connection */
	uint32_t granted;       /* WIRE_HELLO_* */
	int argc;
	char **argv; /* the helper's command line, NULL-terminated; [0] is the subtype */
	int fusedev; /* an open /dev/fuse, or -1 */
};

/* A mount that the server requests. */
struct service_mount {
	bool fuseblk;
	const char *source, *mountpoint;
	mode_t mountpoint_format;   /* required type of the mountpoint: S_IFDIR, S_IFREG, or 0 for
				       both */
	const char *kernel_options; /* comma-separated, or NULL */
	const char *table_options;  /* comma-separated, or NULL */
	uint32_t flags;             /* MS_* */
};

/*
 * Accept the connection that a service manager has passed (sd_listen_fds(3)) and do the handshake.
 * Store the service, which the caller releases with service_free(), in *SERVICEP; or NULL, and
 * return 0, if no socket was passed.
 */
int service_accept(struct service **servicep);

/*
 * Request that the helper open PATH with FLAGS (O_*). REQUEST_FLAGS are WIRE_REQUEST_*.
 * service_request_block_device() requires a block device and sets its block size to BLOCK_SIZE
 * unless that is 0. The caller gets the reply with service_receive_file() before the next request.
 */
int service_request_file(struct service *service, const char *path, uint32_t flags,
			 uint32_t create_mode, uint32_t request_flags);
int service_request_block_device(struct service *service, const char *path, uint32_t flags,
				 uint32_t create_mode, uint32_t request_flags, uint32_t block_size);

/*
 * Receive the reply for PATH. Store in *FDP the file descriptor, close-on-exec and owned by the
 * caller, or the negative errno of the helper's open(2). Return 0 or an error of the connection:
 * -EBADMSG if the reply is for another path or has no file descriptor.
 */
int service_receive_file(struct service *service, const char *path, int *fdp);

/* Make the kernel drop file descriptors that the helper sends from now on. */
int service_refuse_descriptors(struct service *service);

/*
 * Request the mount. It becomes visible after service_send_goodbye() with 0. On failure store the
 * name of the packet that failed, for a message, in *REFUSEDP.
 */
int service_request_mount(struct service *service, const struct service_mount *mount,
			  const char **refusedp);

/* Request that the helper discard the mount. */
int service_request_unmount(struct service *service);

/* End the connection. EXITCODE is 0 if the filesystem is served. A second call does nothing. */
int service_send_goodbye(struct service *service, uint32_t exitcode);

/* Close the connection and /dev/fuse. */
void service_close(struct service *service);

/* Close and free SERVICE, which may be NULL. */
void service_free(struct service *service);
