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
#define SERVICE_LOG_LINE 1024

/* How many lines are shown. */
struct service_log_quota {
	int64_t until;              /* when the count begins anew */
	unsigned int lines, unseen; /* since then */
};

struct service_log {
	int fd; /* the socket's end to read from, which does not block; service_log_close() closes
		 * it
		 */
	char name[64];

	char line[SERVICE_LOG_LINE];
	size_t used;
	struct service_log_quota own;
	struct service_log_quota *all; /* what all services share, set by the caller */
};

/* Reads what is there, but not for long, and shows it. Returns whether there may come more. */
bool service_log_read(struct service_log *log);

/* Shows TEXT as if the service had said it. */
void service_log_tell(struct service_log *log, const char *text);

/* Shows what is still there, and a line that has not ended. */
void service_log_close(struct service_log *log);
