/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The standard output and standard error of a service, received through a socket. Each line is
 * printed to standard error with the name of the service in front. Control characters are escaped,
 * and the number of lines is limited.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longer lines are split. */
#define SERVICE_LOG_LINE 1024

/* A limit on the number of lines in an interval. */
struct service_log_quota {
	int64_t interval_end;    /* see deadline.h */
	unsigned int lines;      /* printed in this interval */
	unsigned int suppressed; /* not printed in this interval */
};

struct service_log {
	int fd;        /* nonblocking end of the socket; service_log_close() closes it */
	char name[64]; /* name of the service, printed at the beginning of each line */

	char line[SERVICE_LOG_LINE]; /* the incomplete last line */
	size_t used;
	struct service_log_quota own_quota;
	struct service_log_quota *total_quota; /* shared by all services; set by the caller */
};

/* Read once from the socket and print complete lines. Return false at its end or on an error. */
bool service_log_read(struct service_log *log);

/* Print TEXT as a line of the service. */
void service_log_print(struct service_log *log, const char *text);

/* Print what is left in the socket, including an incomplete last line, and close it. */
void service_log_close(struct service_log *log);
