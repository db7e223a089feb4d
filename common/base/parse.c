/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/parse.h"

#include <errno.h>

int parse_number(const char *text, unsigned int max, unsigned int *numberp)
{
	unsigned int number = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		unsigned int digit = (unsigned int)*text - '0';

		if (digit > 9 || digit > max || number > (max - digit) / 10)
			return -EINVAL;
		number = 10 * number + digit;
	}
	*numberp = number;
	return 0;
}

int parse_seconds(const char *text, unsigned int min, unsigned int *secondsp)
{
	unsigned int seconds;

	if (parse_number(text, MAX_SECONDS, &seconds) < 0 || seconds < min)
		return -EINVAL;
	*secondsp = seconds;
	return 0;
}
