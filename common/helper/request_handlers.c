/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper/request_handlers.h"

#include "base/cleanup.h"
#include "base/interrupt.h"
#include "helper/open_file.h"
#include "helper/request_policy.h"
#include "mount/create_mount.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BIT(kind) (1U << (kind))

/*
 * Return true if PATH is the device that the caller mounts as fuseblk. The kernel claims it
 * exclusively for the mount, so the service cannot.
 */
static bool is_claimed_by_kernel(const struct session *session, const char *path)
{
	bool is_mounted = session->done & BIT(WIRE_MOUNT);

	return session->authority->is_root && session->args->fuseblk &&
	       (!is_mounted || session->fuseblk) && strcmp(path, session->args->source) == 0;
}

/* The handlers return 0 or the negative errno for the reply. */

static int handle_open(struct session *session, const struct wire_packet *packet,
		       struct opened_file *opened)
{
	struct open_file_request request = {
		.path = packet->text,
		.flags = packet->open_flags,
		.must_be_block = packet->kind == WIRE_BDEV,
		.kernel_claims = is_claimed_by_kernel(session, packet->text),
		.block_size = packet->kind == WIRE_BDEV ? packet->block_size : 0,
	};
	bool quiet = packet->request_flags & WIRE_REQUEST_QUIET;
	const char *reason = NULL;
	struct stat status;
	int error;

	if (packet->request_flags & ~(uint32_t)WIRE_REQUEST_QUIET)
		return -EINVAL;
	error = request_policy_check_open(session->authority, packet->text, packet->open_flags,
					  &reason);
	if (error < 0) {
		if (!quiet)
			session_set_reason(session, "refused to open %.200s for the service: %s",
					   packet->text, reason);
		return error;
	}
	/*
	 * open(2) may hang on a network filesystem: let signals kill the process. Not after a mount
	 * is attached, and not for a fuseblk mount: the destruction of its superblock waits for the
	 * server.
	 */
	if (session->mount.root < 0 && (session->mount.fd < 0 || !session->fuseblk))
		interrupt_allow(session->channel.deadline);
	error = open_file(&request, opened, &reason);
	interrupt_disallow();
	if (error < 0) {
		/*
		 * The message to the caller will name the errno; the service's log adds nothing to
		 * it.
		 */
		session->is_explained |= !quiet && session->reason[0] == '\0';
		if (!quiet)
			session_set_reason(session, "cannot open %s: %s%s%s", packet->text,
					   reason ? reason : "", reason ? ": " : "",
					   strerror(-error));
		return error;
	}
	/* From now on the mount must be fuseblk, or the device would not be claimed exclusively. */
	session->fuseblk |=
		request.kernel_claims && fstat(opened->fd, &status) == 0 && S_ISBLK(status.st_mode);
	return 0;
}

static int handle_type(struct session *session, const struct wire_packet *packet)
{
	if (packet->flags & ~(uint32_t)WIRE_TYPE_FUSEBLK)
		return -EINVAL;
	if ((packet->flags & WIRE_TYPE_FUSEBLK) && !session->authority->is_root) {
		session_set_reason(session,
				   "refused type fuseblk for the service: only root may mount it");
		return -EPERM;
	}
	session->fuseblk |= packet->flags & WIRE_TYPE_FUSEBLK;
	return 0;
}

static int set_string(char **stringp, const char *text)
{
	*stringp = strdup(text);
	return *stringp ? 0 : -ENOMEM;
}

static int handle_name(struct session *session, const struct wire_packet *packet)
{
	const char *reason;
	int error = request_policy_check_source(session->authority, packet->text, &reason);

	if (error < 0) {
		session_set_reason(session, "refused source %.200s for the service: %s",
				   packet->text, reason);
		return error;
	}
	/*
	 * Record an absolute path: a relative one means another file in another working directory.
	 */
	if (session->absolute_source && strcmp(packet->text, session->args->source) == 0)
		return set_string(&session->source, session->absolute_source);
	return set_string(&session->source, packet->text);
}

static int handle_mountpoint(struct session *session, const struct wire_packet *packet)
{
	uint16_t format = packet->format;

	if (strcmp(packet->text, session->args->mountpoint) != 0) {
		session_set_reason(session,
				   "refused mountpoint %.200s for the service: not named on the "
				   "command line",
				   packet->text);
		return -EINVAL;
	}
	if (format != 0 && format != S_IFDIR && format != S_IFREG)
		return -EINVAL;
	if (format == 0 || (session->mountpoint_mode & S_IFMT) == format)
		return 0;
	session_set_reason(session, "not a %s, as required by the service",
			   format == S_IFDIR ? "directory" : "regular file");
	return format == S_IFDIR ? -ENOTDIR : -EISDIR;
}

static int handle_options(struct session *session, const struct wire_packet *packet)
{
	const char *reason;
	/* Until the type is set, the options of fuseblk are accepted. */
	int error = request_policy_filter_kernel_options(session->authority, packet->text,
							 session->fuseblk ||
								 !(session->done & BIT(WIRE_TYPE)),
							 &session->kernel_options, &reason);

	if (error < 0)
		session_set_reason(session, "refused mount options '%.200s' for the service: %s",
				   packet->text, reason);
	return error;
}

static int handle_table(struct session *session, const struct wire_packet *packet)
{
	const char *reason;
	int error = request_policy_filter_table_options(session->authority, packet->text,
							&session->table_options, &reason);

	if (error < 0)
		session_set_reason(session, "refused mount options '%.200s' for the service: %s",
				   packet->text, reason);
	/* With "-n" the service requests that its mount gets no entry in utab. */
	session->no_utab |= error == 0 && options_contain(packet->text, "-n");
	return error;
}

static int handle_mount(struct session *session, const struct wire_packet *packet)
{
	struct mount_spec spec = {
		.subtype = session->args->subtype,
		.fuseblk = session->fuseblk,
		.source = session->source,
		.options = session->kernel_options,
		.fusedev = session->fusedev,
		.mountpoint = session->mountpoint,
		.rootmode = session->mountpoint_mode,
		.user = getuid(),
		.group = getgid(),
	};
	char message[256];
	const char *reason;
	int error = request_policy_choose_mount_flags(session->authority, packet->flags,
						      &spec.flags, &reason);

	if (error < 0) {
		session_set_reason(session, "refused mount flags 0x%x for the service: %s",
				   packet->flags, reason);
		return error;
	}
	error = create_mount(&spec, &session->mount, message, sizeof(message));
	if (error < 0)
		session_set_reason(
			session, "mount refused by the kernel: %s%s",
			message[0] ? message : strerror(-error),
			error == -EPERM ? " (only root can mount, unless fsvc is set-user-ID root)"
					: "");
	return error;
}

static int handle_unmount(struct session *session, const struct wire_packet *packet)
{
	(void)packet;
	discard_mount(&session->mount);
	session_set_reason(session, "unmounted by the service");
	return 0;
}

/*
 * All requests of a service. A request is refused with EINVAL before all kinds in REQUIRED have
 * succeeded, and after any kind in EXCLUDED has succeeded.
 */
/* clang-format off */
#define MOUNTED BIT(WIRE_MOUNT)

static const struct request {
	uint32_t required, excluded;
	int (*handle)(struct session *session, const struct wire_packet *packet);
	int (*open)(struct session *session, const struct wire_packet *packet,
		    struct opened_file *opened);
} requests[WIRE_KIND_COUNT] = {
	[WIRE_OPEN]       = { .open = handle_open },
	[WIRE_BDEV]       = { .open = handle_open },
	[WIRE_TYPE]       = { .excluded = BIT(WIRE_TYPE) | MOUNTED, .handle = handle_type },
	[WIRE_NAME]       = { .excluded = BIT(WIRE_NAME) | MOUNTED, .handle = handle_name },
	[WIRE_MOUNTPOINT] = { .excluded = BIT(WIRE_MOUNTPOINT) | MOUNTED,
	                      .handle = handle_mountpoint },
	[WIRE_OPTIONS]    = { .excluded = BIT(WIRE_OPTIONS) | MOUNTED, .handle = handle_options },
	[WIRE_TABLE]      = { .excluded = BIT(WIRE_TABLE) | MOUNTED, .handle = handle_table },
	[WIRE_MOUNT]      = { .required = BIT(WIRE_NAME) | BIT(WIRE_MOUNTPOINT),
	                      .excluded = MOUNTED, .handle = handle_mount },
	[WIRE_UNMOUNT]    = { .required = MOUNTED, .excluded = BIT(WIRE_UNMOUNT),
	                      .handle = handle_unmount },
};
/* clang-format on */

/* Handle OPEN or BDEV. If it is malformed, its path is unknown. */
static int reply_to_open(struct session *session, const struct request *request,
			 const struct wire_packet *packet, int malformed)
{
	_cleanup_opened_file_ struct opened_file opened = OPENED_FILE_NONE;
	const char *path = malformed < 0 ? WIRE_UNKNOWN_PATH : packet->text;
	int error = malformed;

	if (error == 0)
		error = request->open(session, packet, &opened);
	return session_send_file(session, path, error, error < 0 ? -1 : opened.fd);
}

static int reply_to_request(struct session *session, const struct request *request,
			    const struct wire_packet *packet, int malformed)
{
	int error = malformed;

	if (error == 0 && ((session->done & request->required) != request->required ||
			   (session->done & request->excluded) != 0)) {
		error = -EINVAL;
		session_set_reason(session, "the service sent %s out of order",
				   wire_packet_name(packet->kind));
	}
	if (error == 0)
		error = request->handle(session, packet);
	if (error == 0)
		session->done |= BIT(packet->kind);
	return session_send_reply(session, error);
}

bool request_is_known(enum wire_kind kind)
{
	return kind < WIRE_KIND_COUNT && (requests[kind].handle || requests[kind].open);
}

int request_handle(struct session *session, const struct wire_packet *packet, int malformed)
{
	const struct request *request = &requests[packet->kind];

	if (malformed < 0)
		session_set_reason(session, "the service sent a malformed %s",
				   wire_packet_name(packet->kind));
	return request->open ? reply_to_open(session, request, packet, malformed)
			     : reply_to_request(session, request, packet, malformed);
}
