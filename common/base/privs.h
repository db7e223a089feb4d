/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * User IDs and capabilities of the process. No other module changes them.
 *
 * If the program is installed set-user-ID root, the process takes the caller's IDs at once. It
 * keeps CAP_SYS_ADMIN permitted, and effective only between privs_raise() and privs_lower(). It
 * also keeps the capabilities that privs_run_as_root() needs for a child. To find all code that
 * runs with privilege, search for privs_raise and privs_run_as_root.
 *
 * If root runs the program, nothing changes.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/*
 * Open /dev/null on file descriptors 0, 1 and 2 if the caller has closed them, so that no other
 * file gets these numbers. main() calls this before it opens anything. Return 0 or a negative
 * errno.
 */
int privs_open_standard_fds(void);

/*
 * Take the caller's user and group IDs for good. main() calls this before it reads anything. If
 * KEEP_MOUNT_PRIVILEGES is true, keep CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID permitted, but not
 * effective, if the process has them. Return 0; or a negative errno, and the process must exit.
 */
int privs_become_caller(bool keep_mount_privileges);

/*
 * Run FUNCTION in a child process with the IDs of the user NAME (UID, GID). In the child this user
 * is the caller, as if the user had started a set-user-ID program that mounts. The child gets
 * SIGTERM when this process exits. If UID is already the caller, call FUNCTION in this process.
 * Return the result of FUNCTION, 0 to 100; or a negative errno, -EPERM if the caller is neither
 * root nor UID.
 */
int privs_run_as_user(const char *name, uid_t uid, gid_t gid, int (*function)(void *argument),
		      void *argument);

/* Make CAP_SYS_ADMIN effective if it is permitted. Do not change errno. */
void privs_raise(void);

/* Make it ineffective again. Do not change errno. */
void privs_lower(void);

/*
 * Run FUNCTION in a child process with root's IDs, to write files of root. The child has no
 * capabilities, no environment, and no controlling terminal from which the caller could stop it. If
 * the caller is root, call FUNCTION in this process. Return the result of FUNCTION, 0 or a negative
 * errno; or -EPERM without the privilege.
 */
int privs_run_as_root(int (*function)(void *argument), void *argument);

/* Return true if the caller is root, by the real user ID: the caller cannot choose that one. */
bool privs_caller_is_root(void);

/*
 * Return true if the process has a capability in any set except the bounding set, or could get one:
 * if no_new_privs is not set, execve(2) of a set-user-ID program gives privileges. Store a
 * description for a message in *DESCRIPTION.
 */
bool privs_find_any(const char **description);

/*
 * Set all user and group IDs to UID and GID before execve(2). Like libfuse, do not change the
 * supplementary groups. If KEEP_CAPABILITIES is true, keep them until privs_drop_permanently().
 * Return 0 or a negative errno.
 */
int privs_switch_user(uid_t uid, gid_t gid, bool keep_capabilities);

/* Remove all supplementary groups. Return 0 or a negative errno. */
int privs_clear_groups(void);

/*
 * Clear all capabilities before execve(2) of a program with the caller's rights. IDs stay, and the
 * program can still run set-user-ID programs. Return 0; or a negative errno, and the program must
 * not be executed.
 */
int privs_clear_capabilities(void);

/*
 * Return true if the process has the capabilities for a mount followed by privs_drop_permanently().
 */
bool privs_can_drop_permanently(void);

/*
 * Clear all capability sets, lock the securebits and set no_new_privs, so that privileges cannot be
 * regained. IDs stay. Return 0 or a negative errno.
 */
int privs_drop_permanently(void);
