/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Option -N of mount(8) and umount(8): another mount namespace. */
#pragma once

/*
 * Enter the mount namespace NAME, a process ID or a file (setns(2)). Then change to the directory
 * that has the path of the previous working directory; fail if the namespace has no such directory.
 * Call this before any path is opened. No privilege is raised: only root can do this. Return 0, or
 * a negative errno after printing a message.
 */
int mount_namespace_enter(const char *name);
