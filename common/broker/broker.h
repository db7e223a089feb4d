/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between an unmodified server and the kernel: answers the server's open of its source and of
 * /dev/fuse, and its mount(2), with the mount helper's descriptors and the helper's mount. The
 * server is given names that lead to placeholders; what it does with any other name is the kernel's
 * business.
 */
#pragma once

#include "broker/notification.h"
#include "broker/source_files.h"
#include "protocol/mount_args.h"
#include "protocol/service.h"

#include <stdbool.h>

struct broker {
	/* Set by the caller, who owns them. */
	struct service *service; /* NULL once the helper has gone */
	struct mount_args *args;
	bool read_only;
	bool remote;  /* the source is the server's to understand, and no file */
	long user;    /* who the server is to believe to be, see filter.h; -1: nobody else */
	int listener; /* see filter.h */

	/* The broker's own. */
	struct source_files sources; /* the files that the server is given names for */
	char *mountpoint;            /* the name that the server is given */
	char *own_place;             /* a directory made for the mountpoint, or NULL */
	int mountpoint_fd;           /* the directory of that name */
	int fusedev;                 /* the helper's */
	unsigned int questions; /* how often the helper was asked for files that are not here */
	bool mounted;
};

#define BROKER_NONE                                                                                \
	((struct broker){ .user = -1, .listener = -1, .mountpoint_fd = -1, .fusedev = -1 })

/*
 * Makes the names, and asks the helper for the source and the files beside it. To be called before
 * the server starts. Returns 0 or a negative errno, the helper's where it refuses the source;
 * broker_free() undoes it.
 */
int broker_prepare(struct broker *broker);

/* The name by which the server is to open the source: what the command line says where it is
 * remote. */
const char *broker_source(const struct broker *broker);

/*
 * Answers what waits at BROKER->listener. Returns 0, or a negative errno where nobody is left who
 * could call.
 */
int broker_answer(struct broker *broker);

/* Removes the names and closes what the broker owns. */
void broker_free(struct broker *broker);

#define _cleanup_broker_ __attribute__((cleanup(broker_free)))
