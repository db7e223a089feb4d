/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What services there are: one for each socket in the service directory, and for each
 * installed unit fsvc-*.socket. To know of them nobody is connected to and nothing is started.
 */
#pragma once

#include "probe/mount_list.h"
#include "probe/systemd.h"

/* What the caller can expect of a service. */
#define SERVICE_READY         "ready"
#define SERVICE_NOT_LISTENING "not-listening"
#define SERVICE_REFUSED       "refused" /* to the caller, by the rights of the socket */
#define SERVICE_UNSAFE        "unsafe"  /* others than root may have put it there */

/* What is not known is NULL, or negative. */
struct service_info {
	char *type;
	const char *state;
	const char *reason;         /* why it is unsafe */
	char *socket;               /* its path, there or not */
	char *unit;                 /* its socket unit */
	char *enabled;              /* systemd's word for whether that is */
	char *service;              /* the template of the services that it starts */
	char *server;               /* the program that they run */
	int64_t mounts;             /* now */
	int64_t connections, limit; /* now, and at most */

	bool chosen; /* by the caller, for service_list_probe() */

	/* Of an answer. */
	int64_t version;
	int64_t time; /* until it came, in thousandths of a second */
	char *failure;

	/* See sandbox.h. */
	char *closed, *open;
	int64_t exposure;
};

struct service_list {
	struct service_info *items; /* by type */
	size_t count;
};

/*
 * SYSTEMD: to be asked for units, or NULL. MOUNTED: whose mounts are counted.
 * Returns 0 or a negative errno; service_list_free() releases CATALOGUE either way.
 */
int service_list_load(struct service_list *services, struct systemd *systemd,
		      const struct mount_list *mounted);

/*
 * Shakes hands with all services that are chosen, at the same time, which starts them, and leaves,
 * so that nothing is mounted. They have SECONDS to answer. Of each LISTED->version, time and
 * failure, which is NULL where all is well, tell how it went.
 * Returns 0 where all is well with all, or a negative errno.
 */
int service_list_probe(struct service_list *services, unsigned int seconds);

void service_list_free(struct service_list *services);

#define _cleanup_service_list_ __attribute__((cleanup(service_list_free)))
