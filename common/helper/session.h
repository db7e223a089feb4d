/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The helper's side of the protocol: one mount, from the first packet to the last. The service is
 * taken for hostile: what it can ask for is the table of commands in session.c, and nothing else.
 */
#pragma once

#include "helper/policy.h"
#include "mount/create_mount.h"
#include "protocol/channel.h"

#include <stdint.h>

struct session {
	/* Set by the caller, who owns them all. */
	struct channel channel; /* connected */
	const struct mount_args *args;
	const struct policy *policy;
	const char *whole_source; /* the source's whole path, where the line has another, or NULL */
	int mountpoint;           /* O_PATH */
	mode_t mountpoint_mode;   /* its st_mode */
	unsigned int patience;    /* seconds until the first answer */

	/* The session's own. */
	uint32_t done; /* a bit for each command that has succeeded */
	int fusedev;
	bool fuseblk, no_utab;
	char *source, *kernel_options, *table_options;
	struct fuse_mount mount;
	uint32_t exitcode;   /* of the goodbye */
	char reason[1024];   /* why it failed: the first thing that went wrong, for the caller */
	bool explained;      /* the reason needs no word of the service's */
	bool service_failed; /* it was the service's doing: its log may say more */
};

/*
 * Runs the session and ends it, with the mount in place or with none.
 * Returns 0 where it is mounted, else a negative errno, and SESSION->reason says why. A reason with
 * 0 is something that the caller should know although it went well in the end.
 */
int session_run(struct session *session);
