/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listener/user_limit.h"

#include "base/cleanup.h"

uid_t user_limit_uid(FILE *table, uid_t user)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	/* Lines are NAME:FIRST:COUNT. */
	while (table && getline(&line, &size, table) >= 0) {
		unsigned long first, count;

		if (sscanf(line, "%*[^:]:%lu:%lu", &first, &count) == 2 && user >= first &&
		    user - first < count)
			return (uid_t)first;
	}
	return user;
}
