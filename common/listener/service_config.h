/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What fsvc-listen offers: a type of filesystem, the server for it, and how that one is run. It is
 * a command line, or a line of a file: [OPTIONS] TYPE -- SERVER [ARGUMENTS].
 */
#pragma once

#include "base/strv.h"
#include "sandbox/sandbox_limits.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct service_config {
	char *type;
	struct strv server;
	struct strv opener; /* options for fsvc-open */
	struct strv paths;  /* more of the disk that the server sees */
	bool is_service;    /* the server is one by itself, and needs no fsvc-open */
	bool as_itself;     /* the server knows who it is, and not who mounts */
	bool root_filesystem;
	unsigned int most, most_of_user; /* mounts at a time */
	struct limits limits;
	uint32_t allowed; /* the pieces of contain.h that may be missing, a bit each */
};

/* What is not said otherwise. */
#define SERVICE_CONFIG_DEFAULT                                                                     \
	((struct service_config){ .most = 4096,                                                    \
				  .most_of_user = 1024,                                            \
				  .limits = { .memory = 1 << 30, .processes = 256 } })

struct service_configs {
	struct service_config *list;
	size_t count;
};

/*
 * Adds the offer that WORDS, COUNT of them, are. WHERE: what a message begins with, "FILE:LINE: "
 * or "". Returns 0, or a negative errno after a message.
 */
int service_configs_add(struct service_configs *configs, char *const *words, size_t count,
			const char *where);

/*
 * Adds those that FILE, named NAME, has: one a line, its words separated by spaces and tabs; empty
 * lines and what follows a word that begins with '#' are nothing. The same.
 */
int service_configs_read(struct service_configs *configs, FILE *file, const char *name);

void service_configs_free(struct service_configs *configs);

#define _cleanup_service_configs_ __attribute__((cleanup(service_configs_free)))
