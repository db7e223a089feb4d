/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sizes in human-readable form. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#define HUMAN_SIZE_MAX 32

/* Format BYTES as "512B", "4.2M" or "1G": powers of 1024, rounded down. */
static inline void human_size(uint64_t bytes, char text[HUMAN_SIZE_MAX])
{
	static const char units[] = "BKMGTPE";
	int unit = 0, tenths = 0;

	for (; bytes >= 1024; bytes /= 1024, unit++)
		tenths = (int)(bytes % 1024 * 10 / 1024);
	if (tenths > 0)
		snprintf(text, HUMAN_SIZE_MAX, "%d.%d%c", (int)bytes, tenths, units[unit]);
	else
		snprintf(text, HUMAN_SIZE_MAX, "%d%c", (int)bytes, units[unit]);
}
