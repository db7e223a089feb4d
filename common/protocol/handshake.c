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

/* While a handshake is in progress, its error is one of these. */
#define NOT_CONNECTED (-EAGAIN) /* the listener's queue is full */
#define NOT_ANSWERED  (-EINPROGRESS)

#define CONNECT_RETRY_MS 100

/* On a terminal, print after this time that the program is waiting. */
#define PROGRESS_AFTER_MS 2000

static bool is_in_progress(const struct handshake *handshake)
{
	return handshake->error == NOT_CONNECTED || handshake->error == NOT_ANSWERED;
}

/*
 * The deadline of each channel has already passed: calls return -ETIMEDOUT instead of waiting, and
 * one poll(2) waits for all services.
 */
static void begin_handshake(struct handshake *handshake)
{
	handshake->channel =
		(struct channel){ .fd = -1, .deadline = deadline_in(0), .interrupt = -1 };
	handshake->error =
		handshake->path ? channel_connect(&handshake->channel, handshake->path) : -EPERM;
	if (handshake->error == -ETIMEDOUT)
		handshake->error = NOT_CONNECTED;
	if (handshake->error == 0)
		handshake->error = channel_refuse_descriptors(handshake->channel.fd);
	if (handshake->error == 0)
		handshake->error = handshake_send_hello(&handshake->channel, 0);
	if (handshake->error == 0)
		handshake->error = NOT_ANSWERED;
}

/* Continue the handshake without waiting. ELAPSED_MS is the time since the beginning. */
static void advance_handshake(struct handshake *handshake, int elapsed_ms)
{
	int error;

	if (handshake->error == NOT_CONNECTED)
		begin_handshake(handshake);
	if (is_in_progress(handshake))
		handshake->elapsed_ms = elapsed_ms;
	if (handshake->error == NOT_ANSWERED) {
		error = handshake_receive_reply(&handshake->channel, &handshake->version);
		if (error != -ETIMEDOUT)
			handshake->error = error;
	}
	if (!is_in_progress(handshake))
		channel_close(&handshake->channel);
}

/* Return the event that the handshake waits for. */
static struct pollfd get_wait_event(const struct handshake *handshake)
{
	return (struct pollfd){ .fd = handshake->error == NOT_ANSWERED ? handshake->channel.fd : -1,
				.events = POLLIN };
}

static bool advance_all(struct handshake *handshakes, size_t count, int elapsed_ms,
			struct pollfd *events)
{
	bool in_progress = false;

	for (size_t i = 0; i < count; i++) {
		if (is_in_progress(&handshakes[i]))
			advance_handshake(&handshakes[i], elapsed_ms);
		events[i] = get_wait_event(&handshakes[i]);
		in_progress |= is_in_progress(&handshakes[i]);
	}
	return in_progress;
}

void handshake_try_all(struct handshake *handshakes, size_t count, unsigned int seconds)
{
	_cleanup_free_ struct pollfd *events = calloc(count + 1, sizeof(*events));
	int64_t deadline = deadline_in(seconds);
	int total_ms = (int)seconds * 1000, left_ms = total_ms;
	bool is_reported = !isatty(STDERR_FILENO);

	for (size_t i = 0; i < count; i++) {
		handshakes[i].error = events ? NOT_CONNECTED : -ENOMEM;
		handshakes[i].elapsed_ms = -1;
	}
	/* Signals are not blocked: there is nothing to clean up. */
	while (events && advance_all(handshakes, count, total_ms - left_ms, events) &&
	       left_ms > 0) {
		if (!is_reported && total_ms - left_ms >= PROGRESS_AFTER_MS) {
			diag_error("waiting for services to answer (press Ctrl-C to cancel)");
			is_reported = true;
		}
		poll(events, count, left_ms < CONNECT_RETRY_MS ? left_ms : CONNECT_RETRY_MS);
		left_ms = deadline_left(deadline);
	}
	for (size_t i = 0; i < count; i++) {
		if (!is_in_progress(&handshakes[i]))
			continue;
		handshakes[i].error = -ETIMEDOUT;
		channel_close(&handshakes[i].channel);
	}
}
