/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source and its companion files (fsvc.file=PATH, for example further segments of an image),
 * which the mount helper opens. The paths that the server gets for them are all in one directory,
 * because servers look for segments beside the first.
 */
#pragma once

#include "protocol/mount_args.h"
#include "protocol/service.h"

#include <stdbool.h>
#include <stddef.h>

struct source_file {
	char *path; /* as on the command line: for requests to the helper */
	char *name; /* path passed to the server */
	int fd; /* opened read-only, for stat(2) and, after the helper has exited, open(2); or -1 */
	int written_fd; /* copy of the first file descriptor opened for writing, or -1. The helper
			   opens a device for writing only once. */
};

struct source_files {
	struct source_file *list; /* the first is the source */
	size_t count;
};

/*
 * Request PATH from the helper with the FLAGS of the server's open(2). REQUEST_FLAGS:
 * WIRE_REQUEST_QUIET if the helper must not report a failure to the caller. SERVICE: NULL after the
 * goodbye.
 * Return a file descriptor, owned by the caller; -ENOTCONN if SERVICE is NULL; or the helper's
 * errno.
 */
int source_files_request(struct service *service, const char *path, int flags,
			 uint32_t request_flags);

/*
 * Request all files that ARGS names. They keep their file names, in the directory of MOUNTPOINT, an
 * absolute path. A file without a name, or with the name of the mountpoint, becomes "source". If
 * two files have the same name, the first one is used.
 *
 * *READ_ONLYP is true on entry if the mount is read-only. Set it to true if the source cannot be
 * opened for writing.
 * Return 0 or a negative errno, that of the helper if it refuses a file. In all cases the caller
 * releases SOURCES with source_files_free().
 */
int source_files_fetch(struct source_files *sources, struct service *service,
		       const struct mount_args *args, const char *mountpoint, bool *read_onlyp);

/* Return the file that the server knows as NAME, a normalized absolute path; or NULL. */
struct source_file *source_files_find(const struct source_files *sources, const char *name);

/*
 * Open SOURCE as open(2) with FLAGS would. If the helper has exited, or this mount has already
 * opened the device for writing, duplicate an earlier file descriptor: both then share one file
 * offset.
 * Return a file descriptor, owned by the caller, or a negative errno.
 */
int source_file_open(struct source_file *source, struct service *service, int flags);

void source_files_free(struct source_files *sources);
