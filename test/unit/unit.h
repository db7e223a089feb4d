/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmocka.h with the headers that it requires, and helpers of several tests.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/array.h"

#include <stdio.h>
#include <string.h>

/* Open TEXT for reading. */
static inline FILE *open_text(const char *text)
{
	FILE *file = fmemopen((void *)text, strlen(text), "r");

	assert_non_null(file);
	return file;
}
