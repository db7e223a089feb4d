/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Properties of systemd units, read over D-Bus. Nothing is started, stopped or changed. libsystemd
 * is loaded by systemd_open(), and never in a privileged applet.
 */
#pragma once

#include "base/strv.h"

/* The D-Bus interfaces of properties. */
#define SYSTEMD_UNIT    "Unit"
#define SYSTEMD_SOCKET  "Socket"
#define SYSTEMD_SERVICE "Service"

struct systemd;

/*
 * Connect to systemd. *SYSTEMDP: the connection, which systemd_close() releases; NULL on failure.
 * Return 0; -ENOSYS if systemd is not running or libsystemd is not installed; or another negative
 * errno.
 */
int systemd_open(struct systemd **systemdp);

/*
 * Add to UNITS the names of all socket units: those that are installed and match PATTERN (glob(7)),
 * and all that are loaded. Templates are left out.
 * Return 0 or a negative errno.
 */
int systemd_list_sockets(struct systemd *systemd, const char *pattern, struct strv *units);

/*
 * Add the value of a property of UNIT to VALUES, see org.freedesktop.systemd1(5): each string,
 * number and boolean ("yes", "no") in it, in order, at any depth. For a template, read the property
 * of an instance. Return 0; -ENOENT if this systemd does not know the property; or another negative
 * errno.
 */
int systemd_get_property(struct systemd *systemd, const char *unit, const char *interface,
			 const char *property, struct strv *values);

void systemd_close(struct systemd *systemd);

static inline void cleanup_systemd(struct systemd **systemdp)
{
	systemd_close(*systemdp);
}

#define _cleanup_systemd_ __attribute__((cleanup(cleanup_systemd)))
