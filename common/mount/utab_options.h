/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The utab entry of a new mount: the caller's options, the server for which fsvc-umount waits, the
 * owner that umount(8) needs, and the option _netdev, which makes systemd unmount before it stops
 * the service.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct new_mount {
	const char *source, *type;
	const char *options; /* options of the command line for utab, or NULL */
	int mountpoint;      /* O_PATH */
	pid_t server;        /* 0: unknown */
	bool is_user_mount;  /* the caller is not root */
};

/*
 * Record a mount that is about to be attached. Store the current path of the mountpoint, under
 * which it is recorded, or NULL in *TARGETP; the caller frees it. Return 0 or a negative errno, see
 * utab_add().
 */
int utab_add_mount(const struct new_mount *mount, char **targetp);

/* Remove the entry of the mount on TARGET. For a user, remove only an entry of that user. */
void utab_remove_mount(const char *target);
