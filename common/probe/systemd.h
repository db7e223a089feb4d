/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What systemd says of its units, over D-Bus. It is asked only: nothing is started, stopped or
 * changed. libsystemd is loaded when the first question comes, and never in a privileged applet.
 */
#pragma once

#include "base/strv.h"

/* The interfaces that properties belong to. */
#define SYSTEMD_UNIT    "Unit"
#define SYSTEMD_SOCKET  "Socket"
#define SYSTEMD_SERVICE "Service"

struct systemd;

/*
 * *SYSTEMDP: the connection, NULL on failure; systemd_close() releases it.
 * Returns 0; -ENOSYS where systemd does not run or libsystemd is not there; or another negative
 * errno.
 */
int systemd_open(struct systemd **systemdp);

/*
 * Adds to UNITS the names of all sockets: those whose unit file is installed and whose name matches
 * PATTERN, see glob(7), running or not, and all others that are loaded. No templates.
 * Returns 0 or a negative errno.
 */
int systemd_list_sockets(struct systemd *systemd, const char *pattern, struct strv *units);

/*
 * Adds a property of UNIT to VALUE, see org.freedesktop.systemd1(5): a word for each text, number
 * or "yes" or "no" in it, however deep in lists. For a template it is that of its instances.
 * Returns 0; -ENOENT where this systemd does not have the property; or another negative errno.
 */
int systemd_property(struct systemd *systemd, const char *unit, const char *interface,
		     const char *property, struct strv *value);

void systemd_close(struct systemd *systemd);

static inline void cleanup_systemd(struct systemd **systemdp)
{
	systemd_close(*systemdp);
}

#define _cleanup_systemd_ __attribute__((cleanup(cleanup_systemd)))
