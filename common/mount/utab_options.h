/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the mount table is told of a mount, beside what the kernel knows: the caller's own options,
 * the server to wait for when it is unmounted, what umount(8) needs to let the user do that, and
 * what systemd needs to do it in time.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct new_mount {
	const char *source, *type;
	const char *options; /* of the command line, for the table; or NULL */
	int mountpoint;      /* O_PATH */
	pid_t server;        /* 0: not known */
	bool by_user;        /* the caller is not root */
};

/*
 * Records a mount that is about to be put in place. *TARGETP: the name that the mountpoint has by
 * now, under which it is recorded; the caller frees it. NULL where it has none.
 * Returns 0 or a negative errno, see utab_add().
 */
int utab_add_mount(const struct new_mount *record, char **targetp);

/* Takes the record of a mount on TARGET away: of a user only the user's own. */
void utab_remove_mount(const char *target);
