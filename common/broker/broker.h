/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker between an unmodified server and the mount helper. It answers the server's open(2) of
 * its source and of /dev/fuse with file descriptors from the helper, and its mount(2) with a mount
 * request to the helper. The paths that the server gets exist only for the broker: there is no file
 * at the path of the source, and the mountpoint is an empty directory. System calls with any other
 * path are left to the kernel.
 */
#pragma once

#include "broker/notification.h"
#include "broker/source_files.h"
#include "protocol/mount_args.h"
#include "protocol/service.h"

#include <stdbool.h>

struct broker {
	/* Set and owned by the caller. */
	struct service *service; /* connection to the helper; NULL after the goodbye */
	struct mount_args *args;
	bool is_read_only;
	bool is_remote;    /* the source is not a file, for example a URL */
	long emulated_uid; /* see emulated_syscalls.h; -1: none */
	int notify_fd;     /* see emulated_syscalls.h; broker_free() closes it */

	/* Owned by the broker. */
	struct source_files sources;
	char *mountpoint;    /* path passed to the server */
	char *temporary_dir; /* parent directory of the mountpoint, or NULL in the sandbox */
	int mountpoint_fd;
	int fusedev;                  /* the helper's /dev/fuse */
	unsigned int helper_requests; /* requests for paths not in the sandbox */
	bool is_mounted;              /* the helper has accepted the mount request */
};

#define BROKER_NONE                                                                                \
	((struct broker){ .emulated_uid = -1, .notify_fd = -1, .mountpoint_fd = -1, .fusedev = -1 })

/*
 * Create the mountpoint for the server, and request the source and its companion files from the
 * helper. Call it before the server starts; broker_free() releases BROKER, also on failure.
 * Return 0 or a negative errno, that of the helper if it refuses a file.
 */
int broker_prepare(struct broker *broker);

/* Return the source for the server's command line: the path of the source, or a URL. */
const char *broker_source(const struct broker *broker);

/*
 * Receive one notification from BROKER->notify_fd and answer it.
 * Return 0, or a negative errno if no process is left under the filter.
 */
int broker_answer(struct broker *broker);

/*
 * Return the file descriptor of the file at PATH if PATH is the source, a companion file, the
 * mountpoint or /dev/fuse; otherwise -1. BROKER owns the file descriptor.
 */
int broker_find_fd(const struct broker *broker, const char *path);

void broker_free(struct broker *broker);

#define _cleanup_broker_ __attribute__((cleanup(broker_free)))
