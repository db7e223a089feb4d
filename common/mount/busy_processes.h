/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who keeps a mount busy, as far as the caller may know: with a working directory, a root, a
 * program, an open or a mapped file on it, or with another mount.
 */
#pragma once

#include "mount/mountinfo.h"

/*
 * Writes into TEXT of SIZE bytes who uses MOUNT: "bash (123), cat (124) and 3 more", or "" where
 * nobody is seen. Asks the kernel alone: no server is waited for.
 */
void busy_processes_describe(const struct mountinfo *mount, char *text, size_t size);
