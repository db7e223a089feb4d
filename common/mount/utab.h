/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mount table of user space, libmount's /run/mount/utab. It has options that only mount(8),
 * umount(8) and findmnt(8) use (x-systemd.automount, nofail, ...) and the process ID of the server,
 * for which fsvc-umount waits.
 *
 * libmount is not used to write the table. Its code, ten times as large as this program, would run
 * with root's user ID for each mount of a user. It would double the time of a mount, need more
 * memory, and wait without a limit for a lock that any user can hold.
 *
 * If the build option mount_table is false, nothing is recorded or found.
 *
 * Only root can write the table. If the caller is not root, a child process with root's user ID and
 * no capability writes it.
 */
#pragma once

#include "base/process.h"

struct utab_entry {
	const char *source;
	const char *target; /* absolute, without symbolic links */
	const char *type;
	const char *options; /* comma-separated, or NULL */
	struct process server;
};

/*
 * Record ENTRY, unless it has neither an option nor a server. Call this before the mount is
 * attached, so that a program that sees the mount finds its options. Return 0; or a negative errno,
 * -ETIMEDOUT if another process holds the lock.
 */
int utab_add(const struct utab_entry *entry);

/*
 * Remove the last entry for TARGET that has OPTION or, if OPTION is NULL, the last entry for
 * TARGET. Ignore a missing entry.
 */
void utab_remove(const char *target, const char *option);

/*
 * Find the recorded server of the mount on TARGET. The entry may be left from an earlier mount.
 * Return 0, -ENOENT if none is recorded, or another negative errno.
 */
int utab_find_server(const char *target, struct process *server);

/*
 * Call FUNCTION with ARGUMENT for each entry with a server, in the order of the table. Return 0,
 * also if there is no table, or a negative errno.
 */
int utab_for_each_server(void (*function)(void *argument, const struct utab_entry *entry),
			 void *argument);
