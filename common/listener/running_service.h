/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One running service: the sandboxed processes behind one connection. The first of them is
 * fsvc-open, or a server that speaks the protocol itself.
 */
#pragma once

#include "listener/service_config.h"
#include "listener/service_log.h"
#include "sandbox/sandbox.h"

#include <sys/types.h>

/* The size of a buffer for the name of a cgroup. */
#define CGROUP_NAME_SIZE 64

/* The process that connected, from SO_PEERCRED (unix(7)). */
struct peer {
	pid_t pid;
	uid_t uid;
	uid_t limit_uid; /* the user whose limits apply, see user_limit.h */
};

/* Shared by all services of a listener. */
struct service_context {
	struct sandbox sandbox; /* from sandbox_open() */
	int program;            /* file descriptor of this executable, to execute it as fsvc-open */
	uint32_t missing_layers;      /* not applied, see sandbox.h */
	unsigned int started;         /* number of services started so far */
	struct service_log_quota log; /* log lines of all services together */
};

struct running_service {
	const struct service_config *config;
	uid_t limit_uid;
	pid_t pid; /* of the first process */
	char cgroup_name[CGROUP_NAME_SIZE];
	struct service_log log;
};

/* Write a new cgroup name into NAME that is unique on this system. */
void running_service_name_cgroup(struct service_context *context, char name[CGROUP_NAME_SIZE]);

/*
 * Start a service of CONFIG for PEER and hand it a copy of CONNECTION, which the caller keeps.
 * Fill in SERVICE, which running_service_end() releases.
 * Return 0 or a negative errno.
 */
int running_service_start(struct service_context *context, const struct service_config *config,
			  const struct peer *peer, int connection, struct running_service *service);

/*
 * Release the resources of SERVICE after its first process has exited. STATUS is the wait status
 * (waitpid(2)); if a signal killed the process, print that to the log.
 */
void running_service_end(struct service_context *context, struct running_service *service,
			 int status);
