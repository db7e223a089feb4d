/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "servicelog.h"

#include "channel.h"
#include "cleanup.h"
#include "diag.h"

#include <string.h>

/* As many lines in as many seconds, like the units have it. */
#define SECONDS    30
#define MOST_LINES 500

/* When it is closed: more than a socket holds by default. */
#define LAST_BYTES (256 << 10)

static void tell_unseen(struct servicelog *log)
{
	if (log->unseen)
		diag_warning("%s: %u lines more are not shown", log->name, log->unseen);
	log->unseen = 0;
}

static void show(struct servicelog *log)
{
	if (deadline_left(log->until) == 0) {
		tell_unseen(log);
		log->lines = 0;
		log->until = deadline_in(SECONDS);
	}
	if (log->lines < MOST_LINES) {
		log->lines++;
		diag_error("%s: %.*s", log->name, (int)log->used, log->line);
	} else {
		log->unseen++;
	}
	log->used = 0;
}

static void take(struct servicelog *log, char byte)
{
	if (byte == '\n') {
		show(log);
		return;
	}
	/* Behind a NUL nothing would be shown. */
	if (byte == '\0')
		byte = '\x01';
	log->line[log->used++] = byte;
	if (log->used == sizeof(log->line))
		show(log);
}

bool servicelog_read(struct servicelog *log)
{
	char bytes[4096];
	ssize_t length = read(log->fd, bytes, sizeof(bytes));

	for (ssize_t i = 0; i < length; i++)
		take(log, bytes[i]);
	return length > 0 || (length < 0 && (errno == EAGAIN || errno == EINTR));
}

void servicelog_close(struct servicelog *log)
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
		show(log);
	tell_unseen(log);
	log->fd = close_fd(log->fd);
}
