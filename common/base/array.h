/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Array size and growth. */
#pragma once

#include <stddef.h>
#include <stdlib.h>

/* The number of elements of ARRAY, which must be an array and not a pointer. */
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Reallocate ARRAY, which has COUNT elements of SIZE bytes, so that one more element fits. Every
 * earlier reallocation must have been made by this function. It doubles the allocation, so that
 * appending N elements takes linear time. Return the new array; or NULL if out of memory, and ARRAY
 * is unchanged.
 */
static inline void *array_grow(void *array, size_t count, size_t size)
{
	if ((count & (count - 1)) != 0)
		return array;
	return reallocarray(array, count > 0 ? 2 * count : 1, size);
}
