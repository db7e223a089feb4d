/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The access mode in the flags of open(2). O_ACCMODE is not used: musl includes O_PATH in it. */
#pragma once

#include <fcntl.h>
#include <stdbool.h>

#define OPEN_FLAGS_ACCESS (O_WRONLY | O_RDWR)

/*
 * Return true if FLAGS ask for write access. Both bits at once, which is invalid, count as write.
 */
static inline bool open_flags_write(unsigned int flags)
{
	return (flags & OPEN_FLAGS_ACCESS) != O_RDONLY;
}
