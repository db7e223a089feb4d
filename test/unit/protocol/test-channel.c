/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "base/cleanup.h"
#include "base/deadline.h"
#include "protocol/channel.h"

#include <fcntl.h>
#include <sys/socket.h>

/* Both ends of a connection; what is sent on OTHER arrives at CHANNEL. */
struct ends {
	struct channel channel;
	int other;
};

static struct ends connected(void)
{
	int both[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, both), 0);
	return (struct ends){
		.channel = { .fd = both[0], .deadline = deadline_in(1), .interrupt = -1 },
		.other = both[1],
	};
}

static void disconnect(struct ends *ends)
{
	channel_close(&ends->channel);
	close_fd(ends->other);
}

#define _cleanup_ends_ __attribute__((cleanup(disconnect)))

/* For a second view of a socket that its ends close. */
static void give_room_back(struct channel *channel)
{
	channel->fd = -1;
	channel_close(channel);
}

#define _cleanup_room_ __attribute__((cleanup(give_room_back)))

/* The number of descriptors that the process has open. */
static int open_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Sends a packet of four bytes with COUNT descriptors. */
static void send_descriptors(int socket, const char *bytes, size_t count)
{
	struct iovec data = { .iov_base = (char *)(uintptr_t)bytes, .iov_len = 4 };
	char control[256] = { 0 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control };
	struct cmsghdr *header = (struct cmsghdr *)control;

	message.msg_controllen = CMSG_SPACE(count * sizeof(int));
	*header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
				    .cmsg_type = SCM_RIGHTS,
				    .cmsg_len = CMSG_LEN(count * sizeof(int)) };
	memset(CMSG_DATA(header), 0, count * sizeof(int)); /* descriptor 0, each time */
	assert_int_equal(sendmsg(socket, &message, 0), 4);
}

static const struct wire_packet unmount = { .kind = WIRE_UNMOUNT };

static void packets_arrive_as_they_were_sent(void **state)
{
	_cleanup_ends_ struct ends ends = connected();
	_cleanup_room_ struct channel back = { .fd = ends.other,
					       .deadline = deadline_in(1),
					       .interrupt = -1 };
	const struct wire_packet name = { .kind = WIRE_NAME, .text = "a b" };
	struct wire_packet packet;

	(void)state;
	assert_int_equal(channel_send(&back, &name, -1), 0);
	assert_int_equal(channel_send(&back, &unmount, -1), 0);
	assert_int_equal(channel_receive(&ends.channel, &packet, NULL), 0);
	assert_int_equal(packet.kind, WIRE_NAME);
	assert_string_equal(packet.text, "a b");
	assert_int_equal(channel_receive(&ends.channel, &packet, NULL), 0);
	assert_int_equal(packet.kind, WIRE_UNMOUNT);
}

static void a_descriptor_arrives_close_on_exec(void **state)
{
	_cleanup_ends_ struct ends ends = connected();
	_cleanup_room_ struct channel back = { .fd = ends.other,
					       .deadline = deadline_in(1),
					       .interrupt = -1 };
	_cleanup_close_ int fd = -1;
	struct wire_packet packet;

	(void)state;
	assert_int_equal(channel_send(&back, &unmount, STDERR_FILENO), 0);
	assert_int_equal(channel_receive(&ends.channel, &packet, &fd), 0);
	assert_true(fd > STDERR_FILENO);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

static void more_than_one_descriptor_is_refused_and_all_are_closed(void **state)
{
	_cleanup_ends_ struct ends ends = connected();
	int before = open_descriptors(), fd;
	struct wire_packet packet;

	(void)state;
	for (size_t count = 2; count < 9; count++) {
		send_descriptors(ends.other, "UMNT", count);
		assert_int_equal(channel_receive(&ends.channel, &packet, &fd), -EBADMSG);
		assert_int_equal(fd, -1);
		assert_int_equal(open_descriptors(), before);
	}
}

static void a_descriptor_that_nobody_wants_is_never_seen(void **state)
{
	_cleanup_ends_ struct ends ends = connected();
	int before = open_descriptors();
	struct wire_packet packet;

	(void)state;
	send_descriptors(ends.other, "UMNT", 1);
	assert_int_equal(channel_receive(&ends.channel, &packet, NULL), 0);
	assert_int_equal(open_descriptors(), before);
}

static void a_descriptor_with_a_malformed_packet_is_closed(void **state)
{
	_cleanup_ends_ struct ends ends = connected();
	int before = open_descriptors(), fd;
	struct wire_packet packet;

	(void)state;
	send_descriptors(ends.other, "EVIL", 1);
	assert_int_equal(channel_receive(&ends.channel, &packet, &fd), -EPROTO);
	assert_int_equal(fd, -1);
	assert_int_equal(open_descriptors(), before);
}

static void a_packet_that_is_too_large_is_malformed(void **state)
{
	_cleanup_ends_ struct ends ends = connected();
	static char large[WIRE_PACKET_MAX + 1] = "NAME";
	struct wire_packet packet;

	(void)state;
	memset(large + 4, 'x', WIRE_PACKET_MAX - 4);
	assert_int_equal(send(ends.other, large, WIRE_PACKET_MAX + 1, 0), WIRE_PACKET_MAX + 1);
	assert_int_equal(channel_receive(&ends.channel, &packet, NULL), -EINVAL);
	assert_int_equal(packet.kind, WIRE_NAME);
	assert_null(packet.text);
}

static void every_wait_has_an_end(void **state)
{
	_cleanup_ends_ struct ends ends = connected();
	struct wire_packet packet;
	int error = 0;

	(void)state;
	ends.channel.deadline = deadline_in(0);
	assert_int_equal(channel_receive(&ends.channel, &packet, NULL), -ETIMEDOUT);
	/* Nobody reads at the other end. */
	for (int i = 0; i < 10000 && error == 0; i++)
		error = channel_send(&ends.channel, &unmount, -1);
	assert_int_equal(error, -ETIMEDOUT);
}

static void a_hang_up_is_told(void **state)
{
	_cleanup_ends_ struct ends ends = connected();
	struct wire_packet packet;

	(void)state;
	ends.other = close_fd(ends.other);
	assert_int_equal(channel_receive(&ends.channel, &packet, NULL), -ECONNRESET);
	assert_int_equal(channel_send(&ends.channel, &unmount, -1), -EPIPE);
}

static void a_signal_ends_a_wait(void **state)
{
	_cleanup_ends_ struct ends ends = connected();
	_cleanup_ends_ struct ends signal = connected();
	struct wire_packet packet;

	(void)state;
	/* Any descriptor will do where a signalfd is wanted. */
	ends.channel.interrupt = signal.channel.fd;
	assert_int_equal(send(signal.other, "x", 1, 0), 1);
	assert_int_equal(channel_receive(&ends.channel, &packet, NULL), -EINTR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_arrive_as_they_were_sent),
		cmocka_unit_test(a_descriptor_arrives_close_on_exec),
		cmocka_unit_test(more_than_one_descriptor_is_refused_and_all_are_closed),
		cmocka_unit_test(a_descriptor_that_nobody_wants_is_never_seen),
		cmocka_unit_test(a_descriptor_with_a_malformed_packet_is_closed),
		cmocka_unit_test(a_packet_that_is_too_large_is_malformed),
		cmocka_unit_test(every_wait_has_an_end),
		cmocka_unit_test(a_hang_up_is_told),
		cmocka_unit_test(a_signal_ends_a_wait),
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
