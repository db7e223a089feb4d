/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Of open(2)'s flags, those that tell what a file is opened for. Not O_ACCMODE: musl's has O_PATH
 * in it, with which nothing is opened for either.
 */
#pragma once

#include <fcntl.h>
#include <stdbool.h>

#define OPEN_FLAGS_ACCESS (O_WRONLY | O_RDWR)

/* Whether FLAGS ask for more than reading. All bits at once, which is neither, counts as more. */
static inline bool open_flags_write(unsigned int flags)
{
	return (flags & OPEN_FLAGS_ACCESS) != O_RDONLY;
}
