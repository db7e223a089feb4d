/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * User space's part of the mount table: options that only umount(8), mount(8) and findmnt(8) mean
 * (x-systemd.automount, nofail, user=...). libmount keeps it, in /run/mount/utab. The kernel's part
 * needs nobody to keep it.
 *
 * libmount is loaded when there is something to record: most mounts have nothing, and it and what
 * it needs are larger than this program.
 */
#pragma once

struct mtab_entry {
	const char *source;
	const char *target; /* absolute, no symlink in it */
	const char *type;
	const char *options; /* comma-separated, or NULL: then there is nothing to record */
};

/*
 * Records ENTRY. To be called before the mount is in place: libmount looks at the target, and the
 * server of a mount decides how long that takes.
 * Returns 0, or a negative errno: -ENOSYS where libmount is not there.
 */
int mtab_add(const struct mtab_entry *entry);

/* Takes ENTRY back. What was not recorded is not missed. */
void mtab_remove(const struct mtab_entry *entry);
