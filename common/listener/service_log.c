/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listener/service_log.h"

#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/diag.h"

#include <string.h>

/* As many lines in as many seconds, like the units have it; and of all together, since who is told
 * to be silent may go and come again. */
#define SECONDS        30
#define MOST_LINES     500
#define MOST_LINES_ALL 2000

/* When it is closed: more than a socket holds by default. */
#define LAST_BYTES (256 << 10)

static void tell_unseen(struct service_log_quota *quota, const char *whose)
{
	if (quota->unseen)
		diag_warning("%s: %u lines more are not shown", whose, quota->unseen);
	quota->unseen = 0;
}

/* Whether one line more may be shown. */
static bool take_line(struct service_log_quota *quota, unsigned int most, const char *whose)
{
	if (deadline_left(quota->until) == 0) {
		tell_unseen(quota, whose);
		quota->lines = 0;
		quota->until = deadline_in(SECONDS);
	}
	if (quota->lines == most) {
		quota->unseen++;
		return false;
	}
	quota->lines++;
	return true;
}

static void show(struct service_log *log, const char *text, size_t length)
{
	if (take_line(&log->own, MOST_LINES, log->name) &&
	    take_line(log->all, MOST_LINES_ALL, "all services"))
		diag_error("%s: %.*s", log->name, (int)length, text);
}

static void show_line(struct service_log *log)
{
	show(log, log->line, log->used);
	log->used = 0;
}

void service_log_tell(struct service_log *log, const char *text)
{
	show(log, text, strlen(text));
}

static void take(struct service_log *log, char byte)
{
	if (byte == '\n') {
		show_line(log);
		return;
	}
	/* Behind a NUL nothing would be shown. */
	if (byte == '\0')
		byte = '\x01';
	log->line[log->used++] = byte;
	if (log->used == sizeof(log->line))
		show_line(log);
}

bool service_log_read(struct service_log *log)
{
	char bytes[4096];
	ssize_t length = read(log->fd, bytes, sizeof(bytes));

	for (ssize_t i = 0; i < length; i++)
		take(log, bytes[i]);
	return length > 0 || (length < 0 && (errno == EAGAIN || errno == EINTR));
}

void service_log_close(struct service_log *log)
{
	char bytes[4096];
	ssize_t length;

	for (int left = LAST_BYTES; left > 0; left -= (int)length) {
		length = read(log->fd, bytes, sizeof(bytes));
		if (length <= 0)
			break;
		for (ssize_t i = 0; i < length; i++)
			take(log, bytes[i]);
	}
	if (log->used)
		show_line(log);
	tell_unseen(&log->own, log->name);
	log->fd = close_fd(log->fd);
}
