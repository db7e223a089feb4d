/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "protocol/channel.h"

#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/diag.h"

#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/* On a terminal, print the progress message after this time. */
#define PROGRESS_AFTER_MS 2000

/* unix_dgram_sendmsg() of the kernel reserves this much of the send buffer. */
#define BUFFER_RESERVE 32

static int min_int(int a, int b)
{
	return a < b ? a : b;
}

void channel_set_progress(struct channel *channel, const char *description)
{
	channel->progress_description = description;
	channel->progress_at = deadline_in_ms(PROGRESS_AFTER_MS);
}

/* Print the progress message once, on a terminal, when its time has come. */
static void report_progress(struct channel *channel)
{
	if (!channel->progress_description || deadline_left(channel->progress_at) > 0)
		return;
	if (isatty(STDERR_FILENO))
		diag_error("waiting for %s (press Ctrl-C to cancel)",
			   channel->progress_description);
	channel->progress_description = NULL;
}

/*
 * Wait for EVENTS on the socket or, if EVENTS is 0, for MILLISECONDS. Return 0, -EINTR if a signal
 * has arrived, or -ETIMEDOUT at the deadline.
 */
static int wait_for(struct channel *channel, short events, int milliseconds)
{
	struct pollfd waits[] = {
		{ .fd = channel->interrupt, .events = POLLIN },
		{ .fd = events ? channel->fd : -1, .events = events },
	};

	for (;;) {
		int left = deadline_left(channel->deadline);
		int timeout = events ? left : min_int(left, milliseconds);
		int ready;

		if (channel->progress_description)
			timeout = min_int(timeout, deadline_left(channel->progress_at) + 1);
		ready = poll(waits, 2, timeout);
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready > 0)
			return waits[0].revents ? -EINTR : 0;
		report_progress(channel);
		if (deadline_left(channel->deadline) == 0)
			return -ETIMEDOUT;
		if (!events)
			return 0;
	}
}

int channel_check_deadline(const struct channel *channel)
{
	struct pollfd interrupt = { .fd = channel->interrupt, .events = POLLIN };

	if (poll(&interrupt, 1, 0) > 0)
		return -EINTR;
	return deadline_left(channel->deadline) == 0 ? -ETIMEDOUT : 0;
}

int channel_check_buffer(int fd)
{
	int size;
	socklen_t length = sizeof(size);

	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &length) < 0)
		return -errno;
	return (size_t)size >= wire_max_open_size() + BUFFER_RESERVE ? 0 : -ENOBUFS;
}

static int set_pass_rights(int fd, int enable)
{
	if (setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &enable, sizeof(enable)) < 0 &&
	    errno != ENOPROTOOPT)
		return -errno;
	return 0;
}

int channel_refuse_descriptors(int fd)
{
	return set_pass_rights(fd, 0);
}

int channel_accept_descriptors(int fd)
{
	return set_pass_rights(fd, 1);
}

int channel_enable_sender(struct channel *channel)
{
	int on = 1;

	if (setsockopt(channel->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return -errno;
	channel->receives_sender = true;
	return 0;
}

int channel_connect(struct channel *channel, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;
	int error;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);

	/*
	 * The socket is nonblocking: the other side could delay a blocking call without limit.
	 * wait_for() waits, until the deadline.
	 */
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	error = channel_check_buffer(fd);
	if (error < 0)
		return error;
	/* EAGAIN: the listener's queue is full, and poll(2) cannot wait for space in it. */
	for (int pause = 1; connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0;
	     pause = min_int(2 * pause, 100)) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		error = wait_for(channel, 0, pause);
		if (error < 0)
			return error;
	}
	channel->fd = take_fd(&fd);
	return 0;
}

/* The control message for one file descriptor. A union, for the alignment. */
union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int))];
};

static void attach_descriptor(struct msghdr *message, union control *control, int fd)
{
	message->msg_control = control;
	message->msg_controllen = sizeof(*control);
	control->header.cmsg_level = SOL_SOCKET;
	control->header.cmsg_type = SCM_RIGHTS;
	control->header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control->header), &fd, sizeof(fd));
}

/*
 * Allocate the buffer. On the stack it would touch each of its 32 pages, and a packet needs one.
 * Return 0 or -ENOMEM.
 */
static int allocate_buffer(struct channel *channel)
{
	if (!channel->buffer)
		channel->buffer = malloc((size_t)2 * WIRE_PACKET_MAX);
	return channel->buffer ? 0 : -ENOMEM;
}

void channel_close(struct channel *channel)
{
	channel->fd = close_fd(channel->fd);
	free(channel->buffer);
	channel->buffer = NULL;
}

/* Encode PACKET in the send part of the buffer. Return its size or a negative errno. */
static int encode(struct channel *channel, const struct wire_packet *packet, struct iovec *data)
{
	int error = allocate_buffer(channel), size;

	if (error < 0)
		return error;
	/* PACKET may point into the receive part, as an answer with the received path does. */
	data->iov_base = channel->buffer + WIRE_PACKET_MAX;
	size = wire_encode(packet, data->iov_base, WIRE_PACKET_MAX);
	data->iov_len = size < 0 ? 0 : (size_t)size;
	return size;
}

int channel_send(struct channel *channel, const struct wire_packet *packet, int fd)
{
	struct iovec data;
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };
	union control control = { 0 };
	int error = encode(channel, packet, &data);

	if (error < 0)
		return error;
	if (fd >= 0)
		attach_descriptor(&message, &control, fd);
	while (sendmsg(channel->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		error = wait_for(channel, POLLOUT, 0);
		if (error < 0)
			return error;
	}
	return 0;
}

int channel_send_fd(int socket, int fd)
{
	char byte = 0;
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };
	union control control = { 0 };
	ssize_t sent;

	attach_descriptor(&message, &control, fd);
	do
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* Store the file descriptor of MESSAGE, or -1, in *FDP. Close any others and return -EBADMSG. */
static int receive_descriptor(struct msghdr *message, int *fdp)
{
	bool malformed = message->msg_flags & MSG_CTRUNC;

	*fdp = -1;
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
	     part = CMSG_NXTHDR(message, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
			malformed = true;
			continue;
		}
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= part->cmsg_len;
		     at += sizeof(int)) {
			int fd;

			memcpy(&fd, (char *)part + at, sizeof(fd));
			if (*fdp < 0 && fd >= 0) {
				*fdp = fd;
				continue;
			}
			close_fd(fd);
			malformed = true;
		}
	}
	if (malformed)
		*fdp = close_fd(*fdp);
	return malformed ? -EBADMSG : 0;
}

/*
 * The control message for the sender. It is too small for file descriptors: the kernel drops them.
 */
union sender_control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(struct ucred))];
};

static pid_t receive_sender_pid(struct msghdr *message)
{
	struct cmsghdr *part = CMSG_FIRSTHDR(message);
	struct ucred identity = { 0 };

	if (part && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_CREDENTIALS &&
	    part->cmsg_len == CMSG_LEN(sizeof(identity)))
		memcpy(&identity, CMSG_DATA(part), sizeof(identity));
	return identity.pid;
}

/* Receive a packet. Return its full size, even if the buffer holds only a part of it. */
static ssize_t receive_bytes(struct channel *channel, int *fdp)
{
	struct iovec data = { .iov_base = channel->buffer, .iov_len = WIRE_PACKET_MAX };
	union control control;
	union sender_control sender;

	for (;;) {
		/* Without a control buffer the kernel drops file descriptors. */
		struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };
		ssize_t received;
		int error;

		if (fdp) {
			message.msg_control = &control;
			message.msg_controllen = sizeof(control);
		} else if (channel->receives_sender) {
			message.msg_control = &sender;
			message.msg_controllen = sizeof(sender);
		}
		received =
			recvmsg(channel->fd, &message, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
		if (received == 0)
			return -ECONNRESET;
		if (received > 0) {
			error = fdp ? receive_descriptor(&message, fdp) : 0;
			channel->sender_pid = fdp ? 0 : receive_sender_pid(&message);
			return error < 0 ? error : received;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		error = wait_for(channel, POLLIN, 0);
		if (error < 0)
			return error;
	}
}

int channel_receive(struct channel *channel, struct wire_packet *packet, int *fdp)
{
	int error = allocate_buffer(channel);
	ssize_t size;

	if (error < 0)
		return error;
	size = receive_bytes(channel, fdp);
	if (size < 0)
		return (int)size;
	/*
	 * A truncated packet is larger than the protocol allows: wire_decode() checks SIZE before
	 * the fields.
	 */
	error = wire_decode(channel->buffer, (size_t)size, packet);
	if (error < 0 && fdp)
		*fdp = close_fd(*fdp);
	return error;
}
