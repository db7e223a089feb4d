/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files that a server knows by names of its own, all in one directory: the source, and what the
 * command line names beside it by fsvc.file=PATH, such as the other segments of an image. They
 * are the mount helper's to open.
 */
#pragma once

#include "protocol/mount_args.h"
#include "protocol/service.h"

#include <stdbool.h>
#include <stddef.h>

struct source_file {
	char *path;  /* as the command line spells it: what the helper is asked for */
	char *name;  /* as the server is told */
	int fd;      /* to tell about, and to open when the helper has gone; -1: not yet there */
	int written; /* what the server got to write to: nobody gets a device twice */
};

struct source_files {
	struct source_file *list; /* the first is the mount's own */
	size_t count;
};

/*
 * Asks the helper to open PATH with the FLAGS of a server's open(2); REQUEST_FLAGS:
 * WIRE_REQUEST_QUIET where the person is not to hear of a failure. SERVICE is NULL once the helper
 * has gone. Returns the descriptor, which the caller owns, or a negative errno: -ENOTCONN without a
 * helper, or the helper's own.
 */
int source_files_ask(struct service *service, const char *path, int flags, uint32_t request_flags);

/*
 * Asks the helper for all files that LINE names, which keep their last names in the directory that
 * MOUNTPOINT, an absolute path, is in; one without a name, or called as MOUNTPOINT is, becomes
 * "source". Of two that would have one name the first has it.
 * *READ_ONLY: whether the source may only be read; becomes true where it cannot be written.
 * Returns 0 or a negative errno, the helper's where it refuses a file; source_files_free() releases
 * SOURCES in any case.
 */
int source_files_fetch(struct source_files *sources, struct service *service,
		       const struct mount_args *args, const char *mountpoint, bool *read_only);

/* The file that the server knows by NAME, an absolute path without "." and "..", or NULL. */
struct source_file *source_files_find(const struct source_files *sources, const char *name);

/*
 * A descriptor for SOURCE as open(2) with FLAGS would give it, which the caller owns; without a
 * helper one that shares its offset with others. Returns a negative errno where there is none.
 */
int source_file_open(struct source_file *source, struct service *service, int flags);

/* Forgets all, and closes their descriptors. */
void source_files_free(struct source_files *sources);
