/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Arrays: their size, and growing by one element at a time.
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>

/* The number of elements of ARRAY, which must be an array and not a pointer. */
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Makes room for one more in ARRAY, which has COUNT elements of SIZE bytes and has grown by nothing
 * else: by doubling, so that time does not grow by the square.
 * Returns the array, wherever it is by then; or NULL where there is no memory, and ARRAY is as
 * ever.
 */
static inline void *array_grow(void *array, size_t count, size_t size)
{
	if ((count & (count - 1)) != 0)
		return array;
	return reallocarray(array, count > 0 ? 2 * count : 1, size);
}
