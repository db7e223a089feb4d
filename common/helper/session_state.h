/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state of a session with a service, and the replies to its requests.
 */
#pragma once

#include "helper/authority.h"
#include "mount/attach_mount.h"
#include "protocol/channel.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct session {
	/* Set by the caller, who owns these. */
	struct channel channel; /* connected */
	const struct mount_args *args;
	const struct authority *authority;
	const char *absolute_source; /* absolute path of a relative source; NULL if the source is
					not relative */
	int mountpoint;              /* O_PATH */
	mode_t mountpoint_mode;      /* st_mode */
	unsigned int first_reply_timeout_s;

	/* Set by the session. */
	uint32_t done; /* a bit for each kind of request that has succeeded */
	int fusedev;
	bool fuseblk, no_utab;
	char *source, *kernel_options, *table_options;
	struct fuse_mount mount;
	uint32_t exitcode;     /* of the packet GOODBYE */
	char reason[1024];     /* the first failure; see session_set_reason() */
	bool is_explained;     /* an open(2) failed: the service's log is not needed */
	bool is_service_fault; /* the service's log may explain the failure */
};

/*
 * Store the reason of a failure for the message to the caller. Keep an earlier reason: later
 * failures are mostly its consequences.
 */
void session_set_reason(struct session *session, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Send the reply FILE for PATH: ERROR, a negative errno or 0, and a copy of FD unless it is
 * negative. Return 0 or an error of channel_send().
 */
int session_send_file(struct session *session, const char *path, int error, int fd);

/* Send the reply REPLY with ERROR, a negative errno or 0. Return 0 or an error of channel_send().
 */
int session_send_reply(struct session *session, int error);
