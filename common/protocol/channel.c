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

/* On a terminal, say after this time what a wait is for. */
#define PROGRESS_AFTER_MS 2000

/* unix_dgram_sendmsg() of the kernel keeps this much of the send buffer to itself. */
#define BUFFER_RESERVE 32

static int smaller(int a, int b)
{
	return a < b ? a : b;
}

void channel_set_progress(struct channel *channel, const char *what)
{
	channel->progress_description = what;
	channel->progress_at = deadline_in_ms(PROGRESS_AFTER_MS);
}

/* Tells a person at a terminal, once and when it takes long, what is waited for. */
static void tell_what_takes_long(struct channel *channel)
{
	if (!channel->progress_description || deadline_left(channel->progress_at) > 0)
		return;
	if (isatty(STDERR_FILENO))
		diag_error("waiting for %s (Ctrl-C ends it)", channel->progress_description);
	channel->progress_description = NULL;
}

/*
 * Waits for EVENTS of the socket, or for MILLISECONDS where EVENTS is 0.
 * Returns 0, -EINTR where a signal asks to end, -ETIMEDOUT at the deadline.
 */
static int wait_for(struct channel *channel, short events, int milliseconds)
{
	struct pollfd waits[] = {
		{ .fd = channel->interrupt, .events = POLLIN },
		{ .fd = events ? channel->fd : -1, .events = events },
	};

	for (;;) {
		int left = deadline_left(channel->deadline);
		int most = events ? left : smaller(left, milliseconds);
		int ready;

		if (channel->progress_description)
			most = smaller(most, deadline_left(channel->progress_at) + 1);
		ready = poll(waits, 2, most);
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready > 0)
			return waits[0].revents ? -EINTR : 0;
		tell_what_takes_long(channel);
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

static int pass_descriptors(int fd, int whether)
{
	if (setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &whether, sizeof(whether)) < 0 &&
	    errno != ENOPROTOOPT)
		return -errno;
	return 0;
}

int channel_refuse_descriptors(int fd)
{
	return pass_descriptors(fd, 0);
}

int channel_accept_descriptors(int fd)
{
	return pass_descriptors(fd, 1);
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

	/* Never blocking: the other side decides when it reads, this side how long it waits. */
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	error = channel_check_buffer(fd);
	if (error < 0)
		return error;
	/* EAGAIN: the listener's queue is full, and poll(2) cannot wait for room in it. */
	for (int pause = 1; connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0;
	     pause = smaller(2 * pause, 100)) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		error = wait_for(channel, 0, pause);
		if (error < 0)
			return error;
	}
	channel->fd = take_fd(&fd);
	return 0;
}

/* The one place for a descriptor beside a packet; a union, since it has to be aligned. */
union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
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
 * Makes the room, if it is not there: on the stack it would cost each page of it, of which a packet
 * needs one. Returns 0 or -ENOMEM.
 */
static int make_room(struct channel *channel)
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

/* Encodes PACKET in the part of the room that is for sending. Returns its size or a negative errno.
 */
static int encode(struct channel *channel, const struct wire_packet *packet, struct iovec *data)
{
	int error = make_room(channel), size;

	if (error < 0)
		return error;
	/* The packet may point into the other part, as an answer about the path received does. */
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

/* The one descriptor of MESSAGE, or -1; whatever else came is closed, and -EBADMSG says so. */
static int receive_descriptor(struct msghdr *message, int *fdp)
{
	bool bad = message->msg_flags & MSG_CTRUNC;

	*fdp = -1;
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
	     part = CMSG_NXTHDR(message, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
			bad = true;
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
			bad = true;
		}
	}
	if (bad)
		*fdp = close_fd(*fdp);
	return bad ? -EBADMSG : 0;
}

/* The place for the sender's identity, and for nothing beside it: descriptors are dropped. */
union identity {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(struct ucred))];
};

static pid_t receive_identity(struct msghdr *message)
{
	struct cmsghdr *part = CMSG_FIRSTHDR(message);
	struct ucred identity = { 0 };

	if (part && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_CREDENTIALS &&
	    part->cmsg_len == CMSG_LEN(sizeof(identity)))
		memcpy(&identity, CMSG_DATA(part), sizeof(identity));
	return identity.pid;
}

/* Receives what comes next. Returns its true size, also where the room holds but a part of it. */
static ssize_t receive_bytes(struct channel *channel, int *fdp)
{
	struct iovec data = { .iov_base = channel->buffer, .iov_len = WIRE_PACKET_MAX };
	union control control;
	union identity identity;

	for (;;) {
		/* Without room for control messages the kernel drops descriptors itself. */
		struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };
		ssize_t received;
		int error;

		if (fdp) {
			message.msg_control = &control;
			message.msg_controllen = sizeof(control);
		} else if (channel->receives_sender) {
			message.msg_control = &identity;
			message.msg_controllen = sizeof(identity);
		}
		received =
			recvmsg(channel->fd, &message, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
		if (received == 0)
			return -ECONNRESET;
		if (received > 0) {
			error = fdp ? receive_descriptor(&message, fdp) : 0;
			channel->sender_pid = fdp ? 0 : receive_identity(&message);
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
	int error = make_room(channel);
	ssize_t size;

	if (error < 0)
		return error;
	size = receive_bytes(channel, fdp);
	if (size < 0)
		return (int)size;
	/* A packet that was cut is larger than any may be: its fields are not looked at. */
	error = wire_decode(channel->buffer, (size_t)size, packet);
	if (error < 0 && fdp)
		*fdp = close_fd(*fdp);
	return error;
}
