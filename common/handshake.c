/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handshake.h"

#include <errno.h>

int handshake_begin(struct channel *channel, uint32_t flags)
{
	struct wire_packet hello = { .kind = WIRE_HELLO,
				     .flags = flags,
				     .min_version = WIRE_VERSION,
				     .max_version = WIRE_VERSION };

	return channel_send(channel, &hello, -1);
}

int handshake_answer(struct channel *channel, uint16_t *versionp)
{
	struct wire_packet answer;
	int error = channel_receive(channel, &answer, NULL);

	*versionp = 0;
	if (error < 0)
		return error == -EINVAL ? -EPROTO : error;
	if (answer.kind != WIRE_HELLO_REPLY)
		return -EPROTO;
	*versionp = answer.version;
	return answer.version == WIRE_VERSION ? 0 : -EPROTO;
}

int handshake_try(const char *path, unsigned int seconds, uint16_t *versionp, int *millisecondsp)
{
	/* No signal is held back: there is nothing to clean up. */
	struct channel channel = { .fd = -1, .deadline = deadline_in(seconds), .interrupt = -1 };
	int error;

	*versionp = 0;
	channel_wait_for(&channel, "the service to answer");
	error = channel_connect(&channel, path);
	if (error == 0)
		error = channel_refuse_descriptors(channel.fd);
	if (error == 0)
		error = handshake_begin(&channel, 0);
	if (error == 0)
		error = handshake_answer(&channel, versionp);
	*millisecondsp = (int)seconds * 1000 - deadline_left(channel.deadline);
	channel_close(&channel);
	return error;
}
