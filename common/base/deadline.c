/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/deadline.h"

#include <limits.h>
#include <time.h>

static int64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int64_t deadline_in(unsigned int seconds)
{
	return now_ms() + (int64_t)seconds * 1000;
}

int64_t deadline_in_ms(unsigned int milliseconds)
{
	return now_ms() + (int64_t)milliseconds;
}

int deadline_left(int64_t deadline)
{
	int64_t left = deadline - now_ms();

	if (left < 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}
