/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose rights the process acts with. No other module changes an id or a capability.
 *
 * Installed set-user-ID root and run by somebody else, the process becomes the caller at once, in
 * every id, and keeps what it mounts with, CAP_SYS_ADMIN, off but between privs_raise() and
 * privs_lower(), and what privs_run_as_root() needs for a child. A reader who greps for these three
 * sees every line that runs with privilege.
 * Run by root, nothing changes: root is the caller.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/*
 * For main, before anything is read: opens /dev/null on descriptors 0, 1 and 2 where the caller has
 * closed them, so that no file opened later is taken for one of them.
 * Returns 0 or a negative errno.
 */
int privs_open_standard_fds(void);

/*
 * For main, before anything is read: becomes the caller for good.
 * MOUNTS: CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID stay permitted, not effective, where the process
 * has them.
 * Returns 0, or a negative errno: then the process must end.
 */
int privs_become_caller(bool mounts);

/*
 * For root, who mounts for somebody else: runs FUNCTION in a process of its own, where the user
 * NAME, with UID and GID, is the caller, as if they had called a set-user-ID program that mounts.
 * When this process ends, that one gets SIGTERM. Where that user is the caller already, FUNCTION is
 * called as it is.
 * Returns what FUNCTION returns, 0 to 100; or a negative errno: -EPERM where the caller is neither
 * root nor that user.
 */
int privs_run_as_user(const char *name, uid_t uid, gid_t gid, int (*function)(void *argument),
		      void *argument);

/* Makes CAP_SYS_ADMIN effective, where it is permitted. errno is kept. */
void privs_raise(void);

/* Takes it back. errno is kept. */
void privs_lower(void);

/*
 * Runs FUNCTION as the owner of root's files: as a process of its own that has root's ids, no
 * capability, no environment, and no terminal from which the caller could stop it half-way. Where
 * the caller is root, it is called as it is.
 * Returns what FUNCTION returns, 0 or a negative errno; -EPERM where there is no privilege for it.
 */
int privs_run_as_root(int (*function)(void *argument), void *argument);

/* Whether the caller is root, by the real user id: the only one that a caller cannot choose. */
bool privs_caller_is_root(void);

/*
 * Whether the process can still do more than an ordinary one or get there: a capability in any set
 * but the bounding one, or no no_new_privs (without that, exec of a set-user-ID program gives
 * some). *WHAT: the piece found, for a message.
 */
bool privs_find_any(const char **what);

/*
 * For a program that is executed next: becomes UID and GID in every id, supplementary groups
 * untouched, as libfuse does. KEEP: capabilities stay, until privs_drop_permanently().
 * Returns 0 or a negative errno.
 */
int privs_switch_user(uid_t uid, gid_t gid, bool keep);

/* Leaves all supplementary groups. Returns 0 or a negative errno. */
int privs_clear_groups(void);

/*
 * For a program that is executed next as the caller: gives up every capability for good. Ids stay,
 * and so does what the program itself may gain by executing another.
 * Returns 0, or a negative errno: then nothing may be executed.
 */
int privs_clear_capabilities(void);

/* Whether what privs_drop_permanently() and a mount before it need is there. */
bool privs_can_drop_permanently(void);

/*
 * Gives up every capability in every set, and the ways back: by securebits and no_new_privs. Whose
 * ids the process has is unchanged. Returns 0 or a negative errno.
 */
int privs_drop_permanently(void);
