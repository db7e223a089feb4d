/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper/session.h"

#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/interrupt.h"
#include "base/new_mount_api.h"
#include "helper/mountpoint_policy.h"
#include "helper/request_handlers.h"
#include "helper/request_policy.h"
#include "mount/utab_options.h"
#include "protocol/argv_memfd.h"
#include "protocol/handshake.h"
#include "protocol/wire.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A limit for hostile services: no other service needs as many requests. */
#define MAX_REQUESTS 1000

/* The goodbye of fsvc-open if it cannot find the server's program, as in a shell. */
#define EXIT_COMMAND_NOT_FOUND 127

/* Results of serve_request(). */
enum { CONTINUE = 0, GOODBYE = 1 };

/* Record why the connection ended. Return ERROR. */
static int fail_connection(struct session *session, int error)
{
	session->is_service_fault = error != -EINTR;
	if (error == -ETIMEDOUT)
		session_set_reason(session, "the service did not answer in time");
	else if (error == -EINTR)
		session_set_reason(session, "interrupted by a signal");
	else if (error == -ECONNRESET || error == -EPIPE)
		session_set_reason(
			session, "the service closed the connection before the mount was complete");
	else
		session_set_reason(session, "connection to the service failed: %s",
				   strerror(-error));
	return error;
}

/* Receive and handle one request. Return CONTINUE, GOODBYE, or a negative errno. */
static int serve_request(struct session *session)
{
	struct wire_packet packet;
	int error = channel_check_deadline(&session->channel);

	if (error < 0)
		return fail_connection(session, error);
	error = channel_receive(&session->channel, &packet, NULL);
	if (error < 0 && error != -EPROTO && error != -EINVAL)
		return fail_connection(session, error);
	if (error == 0 && packet.kind == WIRE_GOODBYE) {
		session->exitcode = packet.exitcode;
		return GOODBYE;
	}
	if (error == -EPROTO || !request_is_known(packet.kind)) {
		session->is_service_fault = true;
		session_set_reason(session, "the service sent an unknown request");
		return -EPROTO;
	}
	error = request_handle(session, &packet, error);
	return error < 0 ? fail_connection(session, error) : CONTINUE;
}

static int send_hello(struct session *session)
{
	uint32_t flags = session->authority->is_root ? WIRE_HELLO_FUSEBLK : 0;

	if (request_policy_may_allow_other(session->authority))
		flags |= WIRE_HELLO_ALLOW_OTHER;
	return handshake_send_hello(&session->channel, flags);
}

static int receive_version(struct session *session)
{
	uint16_t version;
	int error = handshake_receive_reply(&session->channel, &version);

	if (error < 0 && error != -EPROTO)
		return fail_connection(session, error);
	if (error == 0)
		return 0;
	session->is_service_fault = true;
	session_set_reason(session, "the service does not support version %d of the protocol",
			   WIRE_VERSION);
	return error;
}

/* Prepare the file descriptors that every service gets: the command line and /dev/fuse. */
static int prepare_descriptors(struct session *session, int *argumentsp)
{
	const struct mount_args *args = session->args;
	_cleanup_free_ const char **argv = calloc((size_t)args->argc + 1, sizeof(*argv));
	int error;

	if (argv) {
		memcpy(argv, args->argv, (size_t)args->argc * sizeof(*argv));
		argv[0] = args->subtype;
	}
	*argumentsp = argv ? argv_memfd_create(args->argc, argv) : -ENOMEM;
	if (*argumentsp < 0) {
		session_set_reason(session, "cannot pass the command line to the service: %s",
				   strerror(-*argumentsp));
		return *argumentsp;
	}
	session->fusedev = open(FUSE_DEVICE, O_RDWR | O_CLOEXEC);
	if (session->fusedev >= 0)
		return 0;
	error = -errno;
	session_set_reason(session, "cannot open " FUSE_DEVICE ": %s%s", strerror(-error),
			   error == -ENOENT || error == -ENXIO ? "; try 'modprobe fuse'" : "");
	return error;
}

static int do_handshake(struct session *session)
{
	_cleanup_close_ int arguments = -1;
	int64_t deadline = session->channel.deadline,
		first_reply = deadline_in(session->first_reply_timeout_s);
	int error = send_hello(session);

	if (error < 0)
		return fail_connection(session, error);
	/* Meanwhile the service manager starts the service. */
	error = prepare_descriptors(session, &arguments);
	if (error < 0)
		return error;
	session->channel.deadline = first_reply < deadline ? first_reply : deadline;
	error = receive_version(session);
	session->channel.deadline = deadline;
	if (error < 0)
		return error;
	error = session_send_file(session, WIRE_ARGV_NAME, 0, arguments);
	if (error >= 0)
		error = session_send_file(session, WIRE_FUSEDEV_NAME, 0, session->fusedev);
	return error < 0 ? fail_connection(session, error) : 0;
}

/*
 * Record the mount in the mount table. Warn the caller only if options of the caller are
 * lost or another process holds the lock.
 */
static void record_mount(struct session *session, char **targetp)
{
	int error = utab_add_mount(
		&(struct new_mount){
			.source = session->source,
			.type = session->fuseblk ? "fuseblk" : "fuse",
			.options = session->table_options,
			.mountpoint = session->mountpoint,
			.server = session->channel.sender_pid,
			.is_user_mount = !session->authority->is_root,
		},
		targetp);

	if (error < 0 && session->table_options)
		session_set_reason(session, "options %.200s not recorded in the mount table: %s",
				   session->table_options,
				   error == -ETIMEDOUT ? "locked by another process"
						       : strerror(-error));
	else if (error == -ETIMEDOUT)
		session_set_reason(
			session,
			"mount table locked by another process: fsvc-umount will not wait for the server");
}

/* Complete the mount after the service's goodbye. */
static int finish_mount(struct session *session)
{
	_cleanup_free_ char *target = NULL;
	bool is_mounted = session->mount.fd >= 0 || session->mount.root >= 0;
	const char *reason = NULL;
	int error;

	if (session->exitcode != 0 || !is_mounted) {
		session->is_service_fault = !session->is_explained;
		if (session->exitcode == 0)
			session_set_reason(session, "the service exited without mounting");
		else
			session_set_reason(session, "the service failed with exit status %u%s",
					   session->exitcode,
					   session->exitcode == EXIT_COMMAND_NOT_FOUND
						   ? " (its server may not be installed)"
						   : "");
		return -EIO;
	}
	if (!session->no_utab)
		record_mount(session, &target);
	/*
	 * Check the limit again: the caller may have started other mounts. Only the limit, since
	 * the filesystem of the mountpoint may hang by now.
	 */
	error = mountpoint_policy_check_limit(session->authority, &reason);
	if (error >= 0)
		error = attach_mount(&session->mount, session->mountpoint);
	if (error < 0) {
		if (target)
			utab_remove_mount(target);
		session->reason[0] = '\0'; /* replace the warning about the mount table */
		session_set_reason(session, "cannot attach the mount: %s%s%s", reason ? reason : "",
				   reason ? ": " : "", strerror(-error));
	}
	return error;
}

static int run_protocol(struct session *session)
{
	int step = CONTINUE, error;

	channel_set_progress(&session->channel, "the service to answer");
	error = do_handshake(session);
	if (error < 0)
		return error;
	channel_set_progress(&session->channel, "the service to mount");
	for (int i = 0; step == CONTINUE; i++) {
		if (i == MAX_REQUESTS) {
			session->is_service_fault = true;
			session_set_reason(session, "too many requests from the service");
			return -E2BIG;
		}
		step = serve_request(session);
	}
	return step < 0 ? step : finish_mount(session);
}

int session_run(struct session *session)
{
	int error;

	session->mount = FUSE_MOUNT_NONE;
	session->fusedev = -1;
	session->no_utab = session->args->no_utab;
	error = channel_refuse_descriptors(session->channel.fd);
	if (error >= 0)
		error = channel_enable_sender(&session->channel);
	if (error < 0)
		session_set_reason(session, "cannot prepare the connection: %s", strerror(-error));
	else
		error = run_protocol(session);
	if (error < 0)
		discard_mount(&session->mount);
	session->fusedev = close_fd(session->fusedev);
	free(session->source);
	free(session->kernel_options);
	free(session->table_options);
	return error < 0 ? error : 0;
}
