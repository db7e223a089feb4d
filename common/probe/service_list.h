/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The services of this system: one for each socket in the socket directory and for each installed
 * unit fsvc-*.socket. Listing them makes no connection and starts nothing.
 */
#pragma once

#include "probe/mount_list.h"
#include "probe/systemd.h"

/* The state of a service, as the caller finds it. */
#define SERVICE_READY         "ready"
#define SERVICE_NOT_LISTENING "not-listening"
#define SERVICE_REFUSED       "refused" /* no permission for the socket */
#define SERVICE_UNSAFE        "unsafe"  /* a user other than root may have created the socket */

/* Unknown values are NULL or negative. */
struct service_info {
	char *type;
	const char *state;
	const char *reason;  /* if it is unsafe */
	char *socket;        /* path, even if it does not exist */
	char *unit;          /* the socket unit */
	char *enabled;       /* UnitFileState of the socket unit */
	char *service;       /* the template of its service units */
	char *server;        /* file name of the server program */
	int64_t mounts;      /* number of mounts */
	int64_t connections; /* number of connections */
	int64_t limit;       /* maximum number of connections */

	bool is_selected; /* set by the caller, for service_list_handshake() */

	/* Set by service_list_handshake(). */
	int64_t version; /* of the protocol */
	int64_t time;    /* until the answer, in milliseconds */
	char *failure;   /* NULL: the handshake succeeded */

	/* Set by the caller, see unit_report.h. */
	char *closed, *open;
	int64_t exposure;
};

struct service_list {
	struct service_info *items; /* sorted by type */
	size_t count;
};

/*
 * Load the list. SYSTEMD is a connection, to read the properties of units, or NULL. MOUNTS is used
 * to count the mounts of each service.
 * Return 0 or a negative errno. In all cases the caller releases LIST with service_list_free().
 */
int service_list_load(struct service_list *list, struct systemd *systemd,
		      const struct mount_list *mounts);

/*
 * Connect to all selected services at the same time, which starts them; complete the handshake, and
 * disconnect, so that nothing is mounted. SECONDS is the time limit for all of them together.
 * Return 0 if all succeeded, or the negative errno of the first failure.
 */
int service_list_handshake(struct service_list *list, unsigned int seconds);

void service_list_free(struct service_list *list);

#define _cleanup_service_list_ __attribute__((cleanup(service_list_free)))
