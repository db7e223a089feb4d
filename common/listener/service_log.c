/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listener/service_log.h"

#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/diag.h"

#include <string.h>

/* Limits of lines in an interval, as in the units. The limit for all services together stops a
 * caller who mounts again and again to get a new quota. */
#define INTERVAL_S      30
#define MAX_LINES       500
#define MAX_LINES_TOTAL 2000

/* Read at most this much when a log is closed. A socket holds less by default. */
#define MAX_BYTES_AT_CLOSE (256 << 10)

static void report_suppressed(struct service_log_quota *quota, const char *name)
{
	if (quota->suppressed)
		diag_warning("%s: %u lines suppressed", name, quota->suppressed);
	quota->suppressed = 0;
}

/* Count one line. Return true if it is within the limit MAX. */
static bool count_line(struct service_log_quota *quota, unsigned int max, const char *name)
{
	if (deadline_left(quota->interval_end) == 0) {
		report_suppressed(quota, name);
		quota->lines = 0;
		quota->interval_end = deadline_in(INTERVAL_S);
	}
	if (quota->lines == max) {
		quota->suppressed++;
		return false;
	}
	quota->lines++;
	return true;
}

static void print(struct service_log *log, const char *text, size_t length)
{
	if (count_line(&log->own_quota, MAX_LINES, log->name) &&
	    count_line(log->total_quota, MAX_LINES_TOTAL, "all services"))
		diag_error("%s: %.*s", log->name, (int)length, text);
}

static void print_line(struct service_log *log)
{
	print(log, log->line, log->used);
	log->used = 0;
}

void service_log_print(struct service_log *log, const char *text)
{
	print(log, text, strlen(text));
}

static void add_byte(struct service_log *log, char byte)
{
	if (byte == '\n') {
		print_line(log);
		return;
	}
	/* A NUL would end the line in printf(3). */
	if (byte == '\0')
		byte = '\x01';
	log->line[log->used++] = byte;
	if (log->used == sizeof(log->line))
		print_line(log);
}

bool service_log_read(struct service_log *log)
{
	char bytes[4096];
	ssize_t length = read(log->fd, bytes, sizeof(bytes));

	for (ssize_t i = 0; i < length; i++)
		add_byte(log, bytes[i]);
	return length > 0 || (length < 0 && (errno == EAGAIN || errno == EINTR));
}

void service_log_close(struct service_log *log)
{
	char bytes[4096];
	ssize_t length;

	for (int left = MAX_BYTES_AT_CLOSE; left > 0; left -= (int)length) {
		length = read(log->fd, bytes, sizeof(bytes));
		if (length <= 0)
			break;
		for (ssize_t i = 0; i < length; i++)
			add_byte(log, bytes[i]);
	}
	if (log->used)
		print_line(log);
	report_suppressed(&log->own_quota, log->name);
	log->fd = close_fd(log->fd);
}
