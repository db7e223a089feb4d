/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * User space's part of the mount table, /run/mount/utab: options that only umount(8), mount(8) and
 * findmnt(8) mean (x-systemd.automount, nofail, ...), and the server behind a mount, for which
 * fsvc-umount waits. libmount keeps it. The kernel's part needs nobody to keep it.
 *
 * libmount is loaded when the table is to be read or written: it and what it needs are larger than
 * this program. The table is root's: whoever the caller is, it is written by a process that has
 * root's user id and no capability.
 */
#pragma once

#include "process.h"

struct mtab_entry {
	const char *source;
	const char *target; /* absolute, no symlink in it */
	const char *type;
	const char *options; /* comma-separated, or NULL */
	struct process server;
};

/*
 * Records ENTRY, unless there is neither an option nor a server in it. To be called before the
 * mount is in place: libmount looks at the target, and the server of a mount decides how long that
 * takes.
 * Returns 0, or a negative errno: -ENOSYS where libmount is not there.
 */
int mtab_add(const struct mtab_entry *entry);

/* Takes the entry of TARGET away. What was not recorded is not missed. */
void mtab_remove(const char *target);

/*
 * The server recorded for the mount on TARGET, which may be one of the past.
 * Returns 0; -ENOENT where none is recorded; or another negative errno.
 */
int mtab_find_server(const char *target, struct process *server);
