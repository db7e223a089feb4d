/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "protocol/handshake.h"

#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/diag.h"

#include <errno.h>
#include <poll.h>

int handshake_send_hello(struct channel *channel, uint32_t flags)
{
	struct wire_packet hello = { .kind = WIRE_HELLO,
				     .flags = flags,
				     .min_version = WIRE_VERSION,
				     .max_version = WIRE_VERSION };

	return channel_send(channel, &hello, -1);
}

int handshake_receive_reply(struct channel *channel, uint16_t *versionp)
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

/* A handshake that is under way has one of these for its error. */
#define NOT_CONNECTED (-EAGAIN) /* the listener's queue is full */
#define NOT_ANSWERED  (-EINPROGRESS)

/* Milliseconds after which a full queue is tried again. */
#define PAUSE 100

/* A person at a terminal wants to know after this many milliseconds what is taking so long. */
#define PATIENCE 2000

static bool is_under_way(const struct handshake *one)
{
	return one->error == NOT_CONNECTED || one->error == NOT_ANSWERED;
}

/* A deadline that is over already: no wait is for one of them alone. */
static void begin(struct handshake *one)
{
	one->channel = (struct channel){ .fd = -1, .deadline = deadline_in(0), .interrupt = -1 };
	one->error = one->path ? channel_connect(&one->channel, one->path) : -EPERM;
	if (one->error == -ETIMEDOUT)
		one->error = NOT_CONNECTED;
	if (one->error == 0)
		one->error = channel_refuse_descriptors(one->channel.fd);
	if (one->error == 0)
		one->error = handshake_send_hello(&one->channel, 0);
	if (one->error == 0)
		one->error = NOT_ANSWERED;
}

/* Does what can be done now, MILLISECONDS after the beginning. */
static void advance(struct handshake *one, int milliseconds)
{
	int error;

	if (one->error == NOT_CONNECTED)
		begin(one);
	if (is_under_way(one))
		one->elapsed_ms = milliseconds;
	if (one->error == NOT_ANSWERED) {
		error = handshake_receive_reply(&one->channel, &one->version);
		if (error != -ETIMEDOUT)
			one->error = error;
	}
	if (!is_under_way(one))
		channel_close(&one->channel);
}

/* What there is to wait for. */
static struct pollfd answer_of(const struct handshake *one)
{
	return (struct pollfd){ .fd = one->error == NOT_ANSWERED ? one->channel.fd : -1,
				.events = POLLIN };
}

static bool advance_all(struct handshake *all, size_t count, int milliseconds,
			struct pollfd *answers)
{
	bool more = false;

	for (size_t i = 0; i < count; i++) {
		if (is_under_way(&all[i]))
			advance(&all[i], milliseconds);
		answers[i] = answer_of(&all[i]);
		more |= is_under_way(&all[i]);
	}
	return more;
}

void handshake_try_all(struct handshake *all, size_t count, unsigned int seconds)
{
	_cleanup_free_ struct pollfd *answers = calloc(count + 1, sizeof(*answers));
	int64_t deadline = deadline_in(seconds);
	int whole = (int)seconds * 1000, left = whole;
	bool told = !isatty(STDERR_FILENO);

	for (size_t i = 0; i < count; i++) {
		all[i].error = answers ? NOT_CONNECTED : -ENOMEM;
		all[i].elapsed_ms = -1;
	}
	/* No signal is held back: there is nothing to clean up. */
	while (answers && advance_all(all, count, whole - left, answers) && left > 0) {
		if (!told && whole - left >= PATIENCE) {
			diag_error("waiting for services to answer (Ctrl-C ends it)");
			told = true;
		}
		poll(answers, count, left < PAUSE ? left : PAUSE);
		left = deadline_left(deadline);
	}
	for (size_t i = 0; i < count; i++) {
		if (!is_under_way(&all[i]))
			continue;
		all[i].error = -ETIMEDOUT;
		channel_close(&all[i].channel);
	}
}
