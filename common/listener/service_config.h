/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The configuration of one filesystem type in fsvc-listen: its server and how to run it. It is
 * given on the command line, or in a line of a file: [OPTIONS] TYPE -- SERVER [ARGUMENTS].
 */
#pragma once

#include "base/strv.h"
#include "sandbox/sandbox_limits.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct service_config {
	char *type;
	struct strv server;         /* command line of the server */
	struct strv broker_options; /* options for fsvc-open */
	struct strv extra_paths;    /* shown in the sandbox */
	bool is_service;            /* the server speaks the protocol, without fsvc-open */
	bool keep_ids;              /* do not emulate the caller's user ID */
	bool is_root_filesystem;
	unsigned int max_mounts;
	unsigned int max_mounts_per_user;
	struct limits limits;     /* of each mount */
	uint32_t optional_layers; /* of the sandbox, see sandbox.h */
};

#define SERVICE_CONFIG_DEFAULT                                                                     \
	((struct service_config){ .max_mounts = 4096,                                              \
				  .max_mounts_per_user = 1024,                                     \
				  .limits = { .memory = 1 << 30, .processes = 256 } })

struct service_configs {
	struct service_config *list;
	size_t count;
};

/*
 * Parse the COUNT arguments of ARGV and add them as one configuration. ORIGIN is the prefix for
 * messages, "FILE:LINE: ", or NULL for the command line.
 * Return 0; -ENOMEM; or another negative errno after printing a message.
 */
int service_configs_add(struct service_configs *configs, char *const *argv, size_t count,
			const char *origin);

/*
 * Add all configurations in FILE, one in each line; NAME is its name for messages. Arguments are
 * separated by spaces and tabs. An argument that begins with '#' starts a comment.
 * Return 0; -ENOMEM; or another negative errno after printing a message.
 */
int service_configs_read(struct service_configs *configs, FILE *file, const char *name);

void service_configs_free(struct service_configs *configs);

#define _cleanup_service_configs_ __attribute__((cleanup(service_configs_free)))
