/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Deadlines: times of CLOCK_MONOTONIC, in milliseconds, at which a wait ends. */
#pragma once

#include <stdint.h>

/* Return the time SECONDS from now. */
int64_t deadline_in(unsigned int seconds);

/* Return the time MILLISECONDS from now. */
int64_t deadline_in_ms(unsigned int milliseconds);

/* Return the milliseconds until DEADLINE, at least 0 and at most INT_MAX, as poll(2) wants them. */
int deadline_left(int64_t deadline);
