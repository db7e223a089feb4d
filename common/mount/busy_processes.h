/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes that keep a mount busy, and mounts on it, as far as the caller may see them. A process
 * uses a mount with its working directory, root directory, program, open files or mapped files.
 */
#pragma once

#include "mount/mountinfo.h"

/*
 * Write a list of the processes that use MOUNT and of the mounts on it to TEXT of SIZE bytes: "bash
 * (123), cat (124) and 3 more", or "" if none is visible. Only the kernel is asked: a hanging
 * server cannot delay the answer.
 */
void busy_processes_describe(const struct mountinfo *mount, char *text, size_t size);
