/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper/session_state.h"

#include "protocol/wire.h"

#include <stdarg.h>
#include <stdio.h>

void session_set_reason(struct session *session, const char *format, ...)
{
	va_list arguments;

	if (session->reason[0] != '\0')
		return;
	va_start(arguments, format);
	vsnprintf(session->reason, sizeof(session->reason), format, arguments);
	va_end(arguments);
}

int session_send_file(struct session *session, const char *path, int error, int fd)
{
	struct wire_packet packet = { .kind = WIRE_FILE, .error = (uint32_t)-error, .text = path };

	return channel_send(&session->channel, &packet, fd);
}

int session_send_reply(struct session *session, int error)
{
	struct wire_packet packet = { .kind = WIRE_REPLY, .error = (uint32_t)-error };

	return channel_send(&session->channel, &packet, -1);
}
