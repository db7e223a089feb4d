/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One service that runs: the processes behind one connection, contained, the first of which is
 * fsvc-open or a server that is a service by itself.
 */
#pragma once

#include "contain.h"
#include "offer.h"
#include "servicelog.h"

#include <sys/types.h>

/* Room for the name of a cgroup. */
#define INSTANCE_NAME 64

/* Who has connected, as the kernel says. */
struct caller {
	pid_t pid;
	uid_t uid;
	uid_t counts_for; /* see subuid.h */
};

/* What all instances need. */
struct instance_maker {
	struct contain contain; /* opened */
	int program;            /* this very program, to execute as fsvc-open, by descriptor */
	uint32_t missing;       /* the pieces to do without */
	unsigned int count;     /* of those started so far */
	struct servicelog_quota said; /* by all of them */
};

struct instance {
	const struct offer *offer;
	uid_t user; /* for whom it counts */
	pid_t pid;
	char name[INSTANCE_NAME]; /* of its cgroup */
	struct servicelog log;
};

/* A name for a cgroup that no other has, of this listener or of another. */
void instance_name(struct instance_maker *maker, char name[INSTANCE_NAME]);

/*
 * Starts one of OFFER for CALLER, with CONNECTION, which stays the caller's. Fills INSTANCE in.
 * Returns 0, or a negative errno.
 */
int instance_start(struct instance_maker *maker, const struct offer *offer,
		   const struct caller *caller, int connection, struct instance *instance);

/* When its first process has ended, with STATUS of wait(2): says so where it was killed, and
 * releases what is left of it. */
void instance_end(struct instance_maker *maker, struct instance *instance, int status);
