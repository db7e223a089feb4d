/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one service says, by a socket: shown line by line on standard error, each behind its name,
 * with nothing that a terminal would obey, and not without end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A longer line is shown as several. */
#define SERVICELOG_LINE 1024

struct servicelog {
	int fd; /* the socket's end to read from, which does not block; servicelog_close() closes it
		 */
	char name[64];

	char line[SERVICELOG_LINE];
	size_t used;
	int64_t until;              /* when the count of lines begins anew */
	unsigned int lines, unseen; /* since then */
};

/* Reads what is there, but not for long, and shows it. Returns whether there may come more. */
bool servicelog_read(struct servicelog *log);

/* Shows what is still there, and a line that has not ended. */
void servicelog_close(struct servicelog *log);
