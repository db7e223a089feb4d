/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * User space's part of the mount table, libmount's /run/mount/utab: options that only umount(8),
 * mount(8) and findmnt(8) mean (x-systemd.automount, nofail, ...), and the server behind a mount,
 * for which fsvc-umount waits. The kernel's part needs nobody to keep it.
 *
 * This is not done by libmount, since it is done for each mount, and for users by root: libmount
 * and what it needs take as much time as all else, more memory than all else, and are ten times
 * this program to read. It also waits for the lock, which any user can hold, without end.
 *
 * Where the build leaves it out (-Dmount_table=false), nothing is recorded and nothing found.
 *
 * The table is root's: whoever the caller is, it is written by a process that has root's user id
 * and no capability.
 */
#pragma once

#include "base/process.h"

struct utab_entry {
	const char *source;
	const char *target; /* absolute, no symlink in it */
	const char *type;
	const char *options; /* comma-separated, or NULL */
	struct process server;
};

/*
 * Records ENTRY, unless there is neither an option nor a server in it. Before the mount is in
 * place, so that who learns of the mount finds its options.
 * Returns 0, or a negative errno: -ETIMEDOUT where somebody keeps the table locked.
 */
int utab_add(const struct utab_entry *entry);

/*
 * Takes the entry of TARGET away, the last one that has OPTION, or, where that is NULL, of all.
 * What was not recorded is not missed.
 */
void utab_remove(const char *target, const char *option);

/*
 * The server recorded for the mount on TARGET, which may be one of the past.
 * Returns 0; -ENOENT where none is recorded; or another negative errno.
 */
int utab_find_server(const char *target, struct process *server);

/*
 * Calls TAKE, with ARGUMENT, for each mount that has a server recorded, in the order in which they
 * were mounted. Returns 0, also where there is no table, or a negative errno.
 */
int utab_for_each_server(void (*take)(void *argument, const struct utab_entry *entry),
			 void *argument);
