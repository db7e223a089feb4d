/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "protocol/service.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/parse.h"
#include "protocol/argv_memfd.h"
#include "protocol/wire.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* SD_LISTEN_FDS_START: the first file descriptor that a service manager passes. */
#define LISTEN_FDS_START 3

/* The device number of /dev/fuse, from the kernel's list of devices. */
#define FUSE_MAJOR 10
#define FUSE_MINOR 229

/* A silent connection must not occupy one of the limited instances of the service forever. */
#define HANDSHAKE_TIMEOUT_S 30
/* A disk that the helper opens may take long to spin up. */
#define SESSION_TIMEOUT_S 600

/* Return the number in the environment variable NAME, or -1. */
static int get_environment_number(const char *name)
{
	const char *text = getenv(name);
	unsigned int number;

	return !text || parse_number(text, INT_MAX, &number) < 0 ? -1 : (int)number;
}

/* Return the socket that was passed, or -ENOENT. */
static int get_passed_socket(void)
{
	struct sockaddr_storage address = { 0 };
	socklen_t length = sizeof(address);
	int count;
	int error;

	if (get_environment_number("LISTEN_PID") != getpid())
		return -ENOENT;
	count = get_environment_number("LISTEN_FDS");
	if (count <= 0)
		return -ENOENT;
	/* The variables are not for child processes. */
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (count != 1)
		return -EINVAL;
	if (getsockname(LISTEN_FDS_START, (struct sockaddr *)&address, &length) < 0)
		return -errno;
	if (address.ss_family != AF_UNIX)
		return -EAFNOSUPPORT;
	error = channel_check_buffer(LISTEN_FDS_START);
	if (error < 0)
		return error;
	if (fcntl(LISTEN_FDS_START, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	return LISTEN_FDS_START;
}

static int send_packet(struct service *service, const struct wire_packet *packet)
{
	return channel_send(&service->channel, packet, -1);
}

/* Receive a packet, which must be of KIND. FDP is as in channel_receive(). */
static int receive_packet(struct service *service, enum wire_kind kind, struct wire_packet *packet,
			  int *fdp)
{
	int error = channel_receive(&service->channel, packet, fdp);

	if (error == -EPROTO || error == -EINVAL)
		return -EBADMSG;
	if (error < 0 || packet->kind == kind)
		return error;
	if (fdp)
		*fdp = close_fd(*fdp);
	return -EBADMSG;
}

static int reply_to_hello(struct service *service)
{
	struct wire_packet hello, reply = { .kind = WIRE_HELLO_REPLY, .version = WIRE_VERSION };
	int error = receive_packet(service, WIRE_HELLO, &hello, NULL);

	if (error < 0)
		return error;
	if (hello.min_version > WIRE_VERSION || hello.max_version < WIRE_VERSION)
		return -EPROTONOSUPPORT;
	/*
	 * Fail for an unknown flag: a later version may use it for a restriction that must not be
	 * ignored.
	 */
	if (hello.flags & ~(uint32_t)WIRE_HELLO_ALL)
		return -EINVAL;
	service->granted = hello.flags;
	return send_packet(service, &reply);
}

/* Receive the helper's command line. */
static int receive_arguments(struct service *service)
{
	_cleanup_close_ int fd = -1;
	int received, error = service_receive_file(service, WIRE_ARGV_NAME, &received);

	if (error < 0)
		return error;
	if (received < 0)
		return received;
	fd = received;
	service->argc = argv_memfd_read(fd, &service->argv);
	return service->argc < 0 ? service->argc : 0;
}

static int receive_fusedev(struct service *service)
{
	struct stat status;
	int received, error = service_receive_file(service, WIRE_FUSEDEV_NAME, &received);

	if (error < 0)
		return error;
	if (received < 0)
		return received;
	service->fusedev = received;
	if (fstat(received, &status) < 0)
		return -errno;
	if (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(FUSE_MAJOR, FUSE_MINOR))
		return -EBADMSG;
	return 0;
}

static int do_handshake(struct service *service)
{
	int error;

	service->channel.deadline = deadline_in(HANDSHAKE_TIMEOUT_S);
	error = reply_to_hello(service);
	if (error >= 0)
		error = receive_arguments(service);
	if (error >= 0)
		error = receive_fusedev(service);
	service->channel.deadline = deadline_in(SESSION_TIMEOUT_S);
	return error;
}

int service_accept(struct service **servicep)
{
	struct service *service;
	int error, fd = get_passed_socket();

	*servicep = NULL;
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	service = malloc(sizeof(*service));
	if (!service) {
		close_fd(fd);
		return -ENOMEM;
	}
	*service = (struct service){ .channel = { .fd = fd, .interrupt = -1 }, .fusedev = -1 };
	error = do_handshake(service);
	if (error < 0) {
		service_free(service);
		return error;
	}
	*servicep = service;
	return 0;
}

int service_request_file(struct service *service, const char *path, uint32_t flags,
			 uint32_t create_mode, uint32_t request_flags)
{
	struct wire_packet packet = { .kind = WIRE_OPEN,
				      .open_flags = flags,
				      .create_mode = create_mode,
				      .request_flags = request_flags,
				      .text = path };

	return send_packet(service, &packet);
}

int service_request_block_device(struct service *service, const char *path, uint32_t flags,
				 uint32_t create_mode, uint32_t request_flags, uint32_t block_size)
{
	struct wire_packet packet = { .kind = WIRE_BDEV,
				      .open_flags = flags,
				      .create_mode = create_mode,
				      .request_flags = request_flags,
				      .block_size = block_size,
				      .text = path };

	return send_packet(service, &packet);
}

int service_receive_file(struct service *service, const char *path, int *fdp)
{
	_cleanup_close_ int fd = -1;
	struct wire_packet packet;
	int error = receive_packet(service, WIRE_FILE, &packet, &fd);

	if (error < 0)
		return error;
	if (strcmp(packet.text, path) != 0 || packet.error > INT32_MAX)
		return -EBADMSG;
	/* Either an error or a file descriptor, not both. */
	if ((packet.error == 0) != (fd >= 0))
		return -EBADMSG;
	*fdp = packet.error ? -(int)packet.error : take_fd(&fd);
	return 0;
}

int service_refuse_descriptors(struct service *service)
{
	return channel_refuse_descriptors(service->channel.fd);
}

/* Send a request and wait for its reply. */
static int send_request(struct service *service, const struct wire_packet *packet)
{
	struct wire_packet reply;
	int error = send_packet(service, packet);

	if (error >= 0)
		error = receive_packet(service, WIRE_REPLY, &reply, NULL);
	if (error < 0)
		return error;
	if (reply.error > INT32_MAX)
		return -EBADMSG;
	return -(int)reply.error;
}

int service_request_mount(struct service *service, const struct service_mount *mount,
			  const char **refusedp)
{
	const struct wire_packet packets[] = {
		{ .kind = WIRE_TYPE, .flags = mount->fuseblk ? WIRE_TYPE_FUSEBLK : 0 },
		{ .kind = WIRE_NAME, .text = mount->source },
		{ .kind = WIRE_MOUNTPOINT,
		  .format = (uint16_t)mount->mountpoint_format,
		  .text = mount->mountpoint },
		{ .kind = WIRE_OPTIONS, .text = mount->kernel_options },
		{ .kind = WIRE_TABLE, .text = mount->table_options },
		{ .kind = WIRE_MOUNT, .flags = mount->flags },
	};

	*refusedp = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
		bool is_empty =
			(packets[i].kind == WIRE_OPTIONS || packets[i].kind == WIRE_TABLE) &&
			!packets[i].text;
		int error = is_empty ? 0 : send_request(service, &packets[i]);

		if (error < 0) {
			*refusedp = wire_packet_name(packets[i].kind);
			return error;
		}
	}
	return 0;
}

int service_request_unmount(struct service *service)
{
	return send_request(service, &(struct wire_packet){ .kind = WIRE_UNMOUNT });
}

int service_send_goodbye(struct service *service, uint32_t exitcode)
{
	struct wire_packet packet = { .kind = WIRE_GOODBYE, .exitcode = exitcode };
	int error;

	if (service->channel.fd < 0)
		return 0;
	error = send_packet(service, &packet);
	channel_close(&service->channel);
	return error;
}

void service_close(struct service *service)
{
	channel_close(&service->channel);
	service->fusedev = close_fd(service->fusedev);
}

void service_free(struct service *service)
{
	if (!service)
		return;
	service_close(service);
	free(service->argv);
	free(service);
}
