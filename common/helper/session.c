/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper/session.h"

#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/interrupt.h"
#include "base/new_mount_api.h"
#include "helper/open_file.h"
#include "mount/utab_options.h"
#include "protocol/argv_memfd.h"
#include "protocol/handshake.h"
#include "protocol/wire.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* No honest service needs as many; a hostile one is not to keep the helper busy. */
#define MOST_COMMANDS 1000

#define BIT(kind) (1U << (kind))

/* What fsvc-open, as every shell, says goodbye with when it has found no program. */
#define EXIT_NOT_THERE 127

/* A session goes on until a handler ends it. */
enum { GO_ON = 0, GOODBYE = 1 };

/* Notes what went wrong, if it is the first thing: what follows is mostly a consequence of it. */
static void __attribute__((format(printf, 2, 3)))
blame(struct session *session, const char *format, ...)
{
	va_list arguments;

	if (session->reason[0] != '\0')
		return;
	va_start(arguments, format);
	vsnprintf(session->reason, sizeof(session->reason), format, arguments);
	va_end(arguments);
}

static int send_file(struct session *session, const char *path, int error, int fd)
{
	struct wire_packet packet = { .kind = WIRE_FILE, .error = (uint32_t)-error, .text = path };

	return channel_send(&session->channel, &packet, fd);
}

static int send_reply(struct session *session, int error)
{
	struct wire_packet packet = { .kind = WIRE_REPLY, .error = (uint32_t)-error };

	return channel_send(&session->channel, &packet, -1);
}

/*
 * Whether PATH is the device that the caller mounts as fuseblk: a mount of that type keeps others
 * away from it, so that the service need not.
 */
static bool may_be_claimed(const struct session *session, const char *path)
{
	bool mounted = session->done & BIT(WIRE_MOUNT);

	return session->policy->root && session->args->fuseblk && (!mounted || session->fuseblk) &&
	       strcmp(path, session->args->source) == 0;
}

/* The handlers: each does what its command asks and returns 0 or the errno for the reply. */

static int do_open(struct session *session, const struct wire_packet *packet,
		   struct opened_file *opened)
{
	struct open_file_request request = {
		.path = packet->text,
		.flags = packet->open_flags,
		.must_be_block = packet->kind == WIRE_BDEV,
		/* The device that is mounted, and no other. */
		.kernel_claims = may_be_claimed(session, packet->text),
		.block_size = packet->kind == WIRE_BDEV ? packet->block_size : 0,
	};
	bool quiet = packet->request_flags & WIRE_REQUEST_QUIET;
	const char *why = NULL;
	struct stat status;
	int error;

	if (packet->request_flags & ~(uint32_t)WIRE_REQUEST_QUIET)
		return -EINVAL;
	error = policy_open(session->policy, packet->text, packet->open_flags, &why);
	if (error < 0) {
		if (!quiet)
			blame(session, "the service asked for %.200s, %s: refused", packet->text,
			      why);
		return error;
	}
	/* Opening may hang on a network that is gone. To be ended by a signal is clean but for a
	 * mount in its place, and for fuseblk, where the kernel would wait for the server. */
	if (session->mount.root < 0 && (session->mount.fd < 0 || !session->fuseblk))
		interrupt_allow(session->channel.deadline);
	error = open_file(&request, opened, &why);
	interrupt_disallow();
	if (error < 0) {
		/* The caller's own words say why a service gives up now. */
		session->explained |= !quiet && session->reason[0] == '\0';
		if (!quiet)
			blame(session, "cannot open %s%s%s: %s", packet->text, why ? ", " : "",
			      why ? why : "", strerror(-error));
		return error;
	}
	/* From here on the mount is fuseblk, or the device would be nobody's. */
	session->fuseblk |=
		request.kernel_claims && fstat(opened->fd, &status) == 0 && S_ISBLK(status.st_mode);
	return 0;
}

static int do_type(struct session *session, const struct wire_packet *packet)
{
	if (packet->flags & ~(uint32_t)WIRE_TYPE_FUSEBLK)
		return -EINVAL;
	if ((packet->flags & WIRE_TYPE_FUSEBLK) && !session->policy->root) {
		blame(session, "the service asked for fuseblk, which only root may mount: refused");
		return -EPERM;
	}
	session->fuseblk |= packet->flags & WIRE_TYPE_FUSEBLK;
	return 0;
}

static int keep(char **where, const char *text)
{
	*where = strdup(text);
	return *where ? 0 : -ENOMEM;
}

static int do_name(struct session *session, const struct wire_packet *packet)
{
	const char *why;
	int error = policy_source(session->policy, packet->text, &why);

	if (error < 0) {
		blame(session, "the service asked for the source %.200s, %s: refused", packet->text,
		      why);
		return error;
	}
	/* A relative path names another file to whoever reads the mount table elsewhere. */
	if (session->whole_source && strcmp(packet->text, session->args->source) == 0)
		return keep(&session->source, session->whole_source);
	return keep(&session->source, packet->text);
}

static int do_mountpoint(struct session *session, const struct wire_packet *packet)
{
	uint16_t format = packet->format;

	if (strcmp(packet->text, session->args->mountpoint) != 0) {
		blame(session,
		      "the service asked for the mountpoint %.200s, which the command line does "
		      "not name: refused",
		      packet->text);
		return -EINVAL;
	}
	if (format != 0 && format != S_IFDIR && format != S_IFREG)
		return -EINVAL;
	if (format == 0 || (session->mountpoint_mode & S_IFMT) == format)
		return 0;
	blame(session, "%s is not a %s, which is what this filesystem is mounted on", packet->text,
	      format == S_IFDIR ? "directory" : "regular file");
	return format == S_IFDIR ? -ENOTDIR : -EISDIR;
}

static int do_options(struct session *session, const struct wire_packet *packet)
{
	const char *why;
	/* What belongs to fuseblk alone is looked at when the type is certain. */
	int error = policy_kernel_options(session->policy, packet->text,
					  session->fuseblk || !(session->done & BIT(WIRE_TYPE)),
					  &session->kernel_options, &why);

	if (error < 0)
		blame(session, "the service asked for an option among '%.200s', %s: refused",
		      packet->text, why);
	return error;
}

static int do_table(struct session *session, const struct wire_packet *packet)
{
	const char *why;
	int error =
		policy_table_options(session->policy, packet->text, &session->table_options, &why);

	if (error < 0)
		blame(session, "the service asked for an option among '%.200s', %s: refused",
		      packet->text, why);
	/* It takes away an entry of its own mount: that it may. */
	session->no_utab |= error == 0 && options_contain(packet->text, "-n");
	return error;
}

static int do_mount(struct session *session, const struct wire_packet *packet)
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
	const char *why;
	int error = policy_mount_flags(session->policy, packet->flags, &spec.flags, &why);

	if (error < 0) {
		blame(session, "the service asked for the mount flags 0x%x, %s: refused",
		      packet->flags, why);
		return error;
	}
	error = create_mount(&spec, &session->mount, message, sizeof(message));
	if (error < 0)
		blame(session, "the kernel refuses the mount: %s%s",
		      message[0] ? message : strerror(-error),
		      error == -EPERM ? " (only root may mount, or a set-user-ID fsvc)" : "");
	return error;
}

static int do_unmount(struct session *session, const struct wire_packet *packet)
{
	(void)packet;
	discard_mount(&session->mount);
	blame(session, "the service has unmounted it again");
	return 0;
}

/*
 * All that a service can ask for. A command is refused with EINVAL, and its handler not called,
 * before all of NEEDS or after any of BARS have succeeded.
 */
/* clang-format off */
#define MOUNTED BIT(WIRE_MOUNT)

static const struct command {
	uint32_t needs, bars;
	int (*handle)(struct session *session, const struct wire_packet *packet);
	int (*open)(struct session *session, const struct wire_packet *packet,
		    struct opened_file *opened);
} commands[WIRE_KIND_COUNT] = {
	[WIRE_OPEN]       = { .open = do_open },
	[WIRE_BDEV]       = { .open = do_open },
	[WIRE_TYPE]       = { .bars = BIT(WIRE_TYPE) | MOUNTED, .handle = do_type },
	[WIRE_NAME]       = { .bars = BIT(WIRE_NAME) | MOUNTED, .handle = do_name },
	[WIRE_MOUNTPOINT] = { .bars = BIT(WIRE_MOUNTPOINT) | MOUNTED, .handle = do_mountpoint },
	[WIRE_OPTIONS]    = { .bars = BIT(WIRE_OPTIONS) | MOUNTED, .handle = do_options },
	[WIRE_TABLE]      = { .bars = BIT(WIRE_TABLE) | MOUNTED, .handle = do_table },
	[WIRE_MOUNT]      = { .needs = BIT(WIRE_NAME) | BIT(WIRE_MOUNTPOINT),
	                      .bars = MOUNTED, .handle = do_mount },
	[WIRE_UNMOUNT]    = { .needs = MOUNTED, .bars = BIT(WIRE_UNMOUNT), .handle = do_unmount },
};
/* clang-format on */

/* Answers an OPEN or BDEV: MALFORMED where its path could not be read. */
static int answer_open(struct session *session, const struct command *command,
		       const struct wire_packet *packet, int malformed)
{
	_cleanup_opened_file_ struct opened_file opened = OPENED_FILE_NONE;
	const char *path = malformed < 0 ? WIRE_UNKNOWN_PATH : packet->text;
	int error = malformed;

	if (error == 0)
		error = command->open(session, packet, &opened);
	return send_file(session, path, error, error < 0 ? -1 : opened.fd);
}

static int answer(struct session *session, const struct command *command,
		  const struct wire_packet *packet, int malformed)
{
	int error = malformed;

	if (error == 0 && ((session->done & command->needs) != command->needs ||
			   (session->done & command->bars) != 0)) {
		error = -EINVAL;
		blame(session, "the service sent %s out of order", wire_packet_name(packet->kind));
	}
	if (error == 0)
		error = command->handle(session, packet);
	if (error == 0)
		session->done |= BIT(packet->kind);
	return send_reply(session, error);
}

/* Says why nothing more comes from the service. */
static int lost(struct session *session, int error)
{
	session->service_failed = error != -EINTR;
	if (error == -ETIMEDOUT)
		blame(session, "the service did not answer in time");
	else if (error == -EINTR)
		blame(session, "interrupted");
	else if (error == -ECONNRESET || error == -EPIPE)
		blame(session, "the service hung up before it had mounted");
	else
		blame(session, "lost the service: %s", strerror(-error));
	return error;
}

/* Receives one command and answers it. Returns GO_ON, GOODBYE, or a negative errno: it is over. */
static int serve_command(struct session *session)
{
	struct wire_packet packet;
	const struct command *command;
	int error = channel_check_deadline(&session->channel);

	if (error < 0)
		return lost(session, error);
	error = channel_receive(&session->channel, &packet, NULL);
	if (error < 0 && error != -EPROTO && error != -EINVAL)
		return lost(session, error);
	if (error == 0 && packet.kind == WIRE_GOODBYE) {
		session->exitcode = packet.exitcode;
		return GOODBYE;
	}
	command = error == -EPROTO ? NULL : &commands[packet.kind];
	if (!command || (!command->handle && !command->open)) {
		session->service_failed = true;
		blame(session, "the service sent an unknown command");
		return -EPROTO;
	}
	if (error < 0)
		blame(session, "the service sent a malformed %s", wire_packet_name(packet.kind));
	error = command->open ? answer_open(session, command, &packet, error)
			      : answer(session, command, &packet, error);
	return error < 0 ? lost(session, error) : GO_ON;
}

static int send_hello(struct session *session)
{
	uint32_t flags = session->policy->root ? WIRE_HELLO_FUSEBLK : 0;

	if (policy_allows_other(session->policy))
		flags |= WIRE_HELLO_ALLOW_OTHER;
	return handshake_send_hello(&session->channel, flags);
}

static int receive_version(struct session *session)
{
	uint16_t version;
	int error = handshake_receive_reply(&session->channel, &version);

	if (error < 0 && error != -EPROTO)
		return lost(session, error);
	if (error == 0)
		return 0;
	session->service_failed = true;
	blame(session, "the service does not speak version %d of the protocol", WIRE_VERSION);
	return error;
}

/* What every service gets: the command line, and an open /dev/fuse. */
static int prepare_equipment(struct session *session, int *argumentsp)
{
	const struct mount_args *args = session->args;
	int error;

	args->argv[0] = args->subtype;
	*argumentsp = argv_memfd_create(args->argc, args->argv);
	if (*argumentsp < 0) {
		blame(session, "cannot hand over the command line: %s", strerror(-*argumentsp));
		return *argumentsp;
	}
	session->fusedev = open(FUSE_DEVICE, O_RDWR | O_CLOEXEC);
	if (session->fusedev >= 0)
		return 0;
	error = -errno;
	blame(session, "cannot open " FUSE_DEVICE ": %s%s", strerror(-error),
	      error == -ENOENT || error == -ENXIO ? " (try: modprobe fuse)" : "");
	return error;
}

static int shake_hands(struct session *session)
{
	_cleanup_close_ int arguments = -1;
	int64_t deadline = session->channel.deadline, first = deadline_in(session->patience);
	int error = send_hello(session);

	if (error < 0)
		return lost(session, error);
	/* Meanwhile the service is being started. */
	error = prepare_equipment(session, &arguments);
	if (error < 0)
		return error;
	session->channel.deadline = first < deadline ? first : deadline;
	error = receive_version(session);
	session->channel.deadline = deadline;
	if (error < 0)
		return error;
	error = send_file(session, WIRE_ARGV_NAME, 0, arguments);
	if (error >= 0)
		error = send_file(session, WIRE_FUSEDEV_NAME, 0, session->fusedev);
	return error < 0 ? lost(session, error) : 0;
}

/*
 * Tells the mount table of what is about to be in place. That it could not be is worth a word where
 * the caller's own options are lost by it, and where it is somebody else's doing.
 */
static void record(struct session *session, char **targetp)
{
	int error = utab_add_mount(
		&(struct new_mount){
			.source = session->source,
			.type = session->fuseblk ? "fuseblk" : "fuse",
			.options = session->table_options,
			.mountpoint = session->mountpoint,
			.server = session->channel.sender_pid,
			.is_user_mount = !session->policy->root,
		},
		targetp);

	if (error < 0 && session->table_options)
		blame(session, "the options %.200s are not recorded in the mount table: %s",
		      session->table_options,
		      error == -ETIMEDOUT ? "somebody keeps it locked" : strerror(-error));
	else if (error == -ETIMEDOUT)
		blame(session, "umount will not wait for the server, since somebody keeps the "
			       "mount table locked");
}

/* The service has said that it serves: shows the mount. */
static int finish(struct session *session)
{
	_cleanup_free_ char *target = NULL;
	bool mounted = session->mount.fd >= 0 || session->mount.root >= 0;
	const char *why = NULL;
	int error;

	if (session->exitcode != 0 || !mounted) {
		session->service_failed = !session->explained;
		if (session->exitcode == 0)
			blame(session, "the service ended without a mount");
		else
			blame(session, "the service failed with exit code %u%s", session->exitcode,
			      session->exitcode == EXIT_NOT_THERE
				      ? ", as where its server is not installed"
				      : "");
		return -EIO;
	}
	if (!session->no_utab)
		record(session, &target);
	/* Once more: many may have been begun. The mountpoint's filesystem may hang by now. */
	error = policy_mount_count(session->policy, &why);
	if (error >= 0)
		error = attach_mount(&session->mount, session->mountpoint);
	if (error < 0) {
		if (target)
			utab_remove_mount(target);
		session->reason[0] = '\0'; /* that it was not recorded is nothing to that */
		blame(session, "cannot put the mount in place%s%s: %s", why ? ", " : "",
		      why ? why : "", strerror(-error));
	}
	return error;
}

static int converse(struct session *session)
{
	int step = GO_ON, error;

	channel_set_progress(&session->channel, "the service to answer");
	error = shake_hands(session);
	if (error < 0)
		return error;
	channel_set_progress(&session->channel, "the service to mount");
	for (int i = 0; step == GO_ON; i++) {
		if (i == MOST_COMMANDS) {
			session->service_failed = true;
			blame(session, "the service asks without end");
			return -E2BIG;
		}
		step = serve_command(session);
	}
	return step < 0 ? step : finish(session);
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
		blame(session, "cannot prepare the connection: %s", strerror(-error));
	else
		error = converse(session);
	if (error < 0)
		discard_mount(&session->mount);
	session->fusedev = close_fd(session->fusedev);
	free(session->source);
	free(session->kernel_options);
	free(session->table_options);
	return error < 0 ? error : 0;
}
