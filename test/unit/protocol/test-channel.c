/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include "base/cleanup.h"
#include "base/deadline.h"
#include "protocol/channel.h"

#include <fcntl.h>
#include <sys/socket.h>

/* A connection: packets sent to OTHER arrive at CHANNEL. */
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

/* Free the buffer of a second channel on a socket that struct ends closes. */
static void free_buffer(struct channel *channel)
{
	channel->fd = -1;
	channel_close(channel);
}

#define _cleanup_buffer_ __attribute__((cleanup(free_buffer)))

/* Count the open file descriptors of the process. */
static int open_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Send a packet of four bytes with COUNT file descriptors. */
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
	memset(CMSG_DATA(header), 0, count * sizeof(int)); /* file descriptor 0, COUNT times */
	assert_int_equal(sendmsg(socket, &message, 0), 4);
}

static const struct wire_packet unmount = { .kind = WIRE_UNMOUNT };

static void test_packets_are_received_unchanged(void **state)
{
	_cleanup_ends_ struct ends ends = connected();
	_cleanup_buffer_ struct channel back = { .fd = ends.other,
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

static void test_received_fd_is_close_on_exec(void **state)
{
	_cleanup_ends_ struct ends ends = connected();
	_cleanup_buffer_ struct channel back = { .fd = ends.other,
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

static void test_several_fds_are_refused_and_closed(void **state)
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

static void test_unwanted_fd_is_dropped_by_the_kernel(void **state)
{
	_cleanup_ends_ struct ends ends = connected();
	int before = open_descriptors();
	struct wire_packet packet;

	(void)state;
	send_descriptors(ends.other, "UMNT", 1);
	assert_int_equal(channel_receive(&ends.channel, &packet, NULL), 0);
	assert_int_equal(open_descriptors(), before);
}

static void test_fd_of_malformed_packet_is_closed(void **state)
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

static void test_too_large_packet_is_malformed(void **state)
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

static void test_every_wait_ends_at_the_deadline(void **state)
{
	_cleanup_ends_ struct ends ends = connected();
	struct wire_packet packet;
	int error = 0;

	(void)state;
	ends.channel.deadline = deadline_in(0);
	assert_int_equal(channel_receive(&ends.channel, &packet, NULL), -ETIMEDOUT);
	/* The other end does not read. */
	for (int i = 0; i < 10000 && error == 0; i++)
		error = channel_send(&ends.channel, &unmount, -1);
	assert_int_equal(error, -ETIMEDOUT);
}

static void test_closed_connection_is_an_error(void **state)
{
	_cleanup_ends_ struct ends ends = connected();
	struct wire_packet packet;

	(void)state;
	ends.other = close_fd(ends.other);
	assert_int_equal(channel_receive(&ends.channel, &packet, NULL), -ECONNRESET);
	assert_int_equal(channel_send(&ends.channel, &unmount, -1), -EPIPE);
}

static void test_signal_interrupts_a_wait(void **state)
{
	_cleanup_ends_ struct ends ends = connected();
	_cleanup_ends_ struct ends signal = connected();
	struct wire_packet packet;

	(void)state;
	/* The channel polls any file descriptor instead of a signalfd. */
	ends.channel.interrupt = signal.channel.fd;
	assert_int_equal(send(signal.other, "x", 1, 0), 1);
	assert_int_equal(channel_receive(&ends.channel, &packet, NULL), -EINTR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets_are_received_unchanged),
		cmocka_unit_test(test_received_fd_is_close_on_exec),
		cmocka_unit_test(test_several_fds_are_refused_and_closed),
		cmocka_unit_test(test_unwanted_fd_is_dropped_by_the_kernel),
		cmocka_unit_test(test_fd_of_malformed_packet_is_closed),
		cmocka_unit_test(test_too_large_packet_is_malformed),
		cmocka_unit_test(test_every_wait_ends_at_the_deadline),
		cmocka_unit_test(test_closed_connection_is_an_error),
		cmocka_unit_test(test_signal_interrupts_a_wait),
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
