/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One service that runs: the processes behind one connection, contained, the first of which is
 * fsvc-open or a server that is a service by itself.
 */
#pragma once

#include "listener/service_config.h"
#include "listener/service_log.h"
#include "sandbox/sandbox.h"

#include <sys/types.h>

/* Room for the name of a cgroup. */
#define CGROUP_NAME_MAX 64

/* Who has connected, as the kernel says. */
struct caller {
	pid_t pid;
	uid_t uid;
	uid_t counts_for; /* see subuid.h */
};

/* What all instances need. */
struct service_context {
	struct sandbox sandbox; /* opened */
	int program;            /* this very program, to execute as fsvc-open, by descriptor */
	uint32_t missing;       /* the pieces to do without */
	unsigned int count;     /* of those started so far */
	struct service_log_quota said; /* by all of them */
};

struct running_service {
	const struct service_config *config;
	uid_t user; /* for whom it counts */
	pid_t pid;
	char name[CGROUP_NAME_MAX]; /* of its cgroup */
	struct service_log log;
};

/* A name for a cgroup that no other has, of this listener or of another. */
void running_service_name(struct service_context *context, char name[CGROUP_NAME_MAX]);

/*
 * Starts one of OFFER for CALLER, with CONNECTION, which stays the caller's. Fills INSTANCE in.
 * Returns 0, or a negative errno.
 */
int running_service_start(struct service_context *context, const struct service_config *config,
			  const struct caller *caller, int connection,
			  struct running_service *service);

/* When its first process has ended, with STATUS of wait(2): says so where it was killed, and
 * releases what is left of it. */
void running_service_end(struct service_context *context, struct running_service *service,
			 int status);
