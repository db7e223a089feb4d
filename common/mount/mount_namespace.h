/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Another mount namespace to work in, the -N of mount(8) and umount(8).
 */
#pragma once

/*
 * Enters the mount namespace NAME, a process id or a file (setns(2)), before anything is looked at.
 * The working directory is the one of the same name. No privilege is raised for it: only root can.
 * Returns 0, or a negative errno after a message.
 */
int mount_namespace_enter(const char *name);
