/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper/mount_request.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/diag.h"
#include "base/interrupt.h"
#include "base/parse.h"
#include "base/path.h"
#include "config.h"
#include "helper/mountpoint_policy.h"
#include "helper/session.h"
#include "protocol/socket_dir.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define FIRST_REPLY_TIMEOUT_S 30
#define MOUNT_TIMEOUT_S       90

/* The signals whose action interrupt.h changes. The caller may have ignored them. */
static const int changed_signals[] = { SIGPIPE, SIGXFSZ, SIGALRM };

#define CHANGED_SIGNAL_COUNT ARRAY_SIZE(changed_signals)

/* Return the time limit for the mount, or 0 if the command line contains an invalid one. */
static unsigned int get_time_limit(const struct mount_args *args)
{
	unsigned int seconds = MOUNT_TIMEOUT_S;

	for (const char *cursor = args->options.helper ? args->options.helper : "";;) {
		_cleanup_free_ char *value = NULL;

		if (options_next_value(&cursor, OPTION_TIMEOUT, &value) <= 0)
			return seconds;
		if (parse_seconds(value, 1, &seconds) < 0)
			return 0;
	}
}

/*
 * Open the mountpoint once: the file descriptor stays valid even if the path leads elsewhere. A
 * user could make the last component a symbolic link to a directory of another user.
 */
static int open_mountpoint(const struct authority *authority, mode_t *modep)
{
	const char *name = authority->args->mountpoint, *reason = NULL;
	_cleanup_close_ int fd = -1;
	struct stat status = { 0 };
	int error;

	fd = open(name, O_PATH | O_CLOEXEC | (authority->is_root ? 0 : O_NOFOLLOW));
	error = fd < 0 || fstat(fd, &status) < 0 ? -errno
						 : mountpoint_policy_check(authority, fd, &reason);
	*modep = status.st_mode;
	if (error < 0) {
		diag_error("%s: cannot mount on %s: %s%s%s", authority->args->source, name,
			   reason ? reason : "", reason ? ": " : "", strerror(-error));
		return error;
	}
	return take_fd(&fd);
}

static bool is_missing_service(int error)
{
	return error == -ENOENT || error == -ECONNREFUSED || error == -ENOBUFS;
}

/* Connect to the service. If it does not exist and IS_OPTIONAL is true, print nothing. */
static enum helper_exit_status connect_service(const struct mount_args *args,
					       struct channel *channel, bool is_optional)
{
	_cleanup_free_ char *path = NULL;
	const char *reason = NULL;
	int error = socket_dir_find(args->subtype, &path, &reason);

	if (error == 0)
		error = channel_connect(channel, path);
	if (error == 0)
		return HELPER_EXIT_MOUNTED;
	if (is_optional && is_missing_service(error))
		return HELPER_EXIT_NO_SERVICE;
	if (is_missing_service(error)) {
		diag_error(
			"%s: no service for this type: %s: %s; try 'systemctl enable --now fsvc-%s.socket'",
			args->subtype, path ? path : SERVICE_SOCKET_DIR, strerror(-error),
			args->subtype);
		return HELPER_EXIT_NO_SERVICE;
	}
	diag_error("%s: cannot connect to the service: %s%s%s", args->subtype, reason ? reason : "",
		   reason ? ": " : "", strerror(-error));
	return HELPER_EXIT_FAILED;
}

/*
 * Write the command that shows the service's log to HINT. systemd's instance name is
 * CONNECTION-PID-UID, with the process and user ID of this process; since version 258 an underscore
 * and another number follow PID.
 */
static void get_log_hint(char *hint, size_t size)
{
	if (access(SYSTEMD_DIR, F_OK) < 0 && access(SERVICE_LOCK_FILE, F_OK) == 0)
		snprintf(hint, size, "; see the log of fsvc-listen");
	else
		snprintf(hint, size, "; try \"journalctl -u '*@*-%d[-_]*%d.service'\"", getpid(),
			 geteuid());
}

/* Print the result in one line. */
static enum helper_exit_status report_result(const struct session *session, int error)
{
	const struct mount_args *args = session->args;
	char hint[128] = "";

	if (error == 0 && session->reason[0])
		diag_warning("%s: mounted on %s: %s", args->source, args->mountpoint,
			     session->reason);
	if (error == 0)
		return HELPER_EXIT_MOUNTED;
	if (session->is_service_fault)
		get_log_hint(hint, sizeof(hint));
	diag_error("%s: cannot mount on %s: %s%s", args->source, args->mountpoint, session->reason,
		   hint);
	return HELPER_EXIT_FAILED;
}

static enum helper_exit_status mount_through_service(const struct mount_args *args,
						     const struct authority *authority,
						     bool is_optional)
{
	_cleanup_close_ int mountpoint = -1, interrupt = -1;
	_cleanup_free_ char *source = NULL;
	unsigned int time_limit_s = get_time_limit(args);
	struct session session = { .args = args,
				   .authority = authority,
				   .first_reply_timeout_s = FIRST_REPLY_TIMEOUT_S };
	enum helper_exit_status status;

	if (time_limit_s == 0) {
		diag_error("option '%s': must be 1 to %d seconds", OPTION_TIMEOUT, MAX_SECONDS);
		return HELPER_EXIT_FAILED;
	}
	interrupt = interrupt_open();
	if (interrupt < 0) {
		diag_error("cannot prepare for signals: %s", strerror(-interrupt));
		return HELPER_EXIT_FAILED;
	}
	session.channel = (struct channel){ .fd = -1,
					    .deadline = deadline_in(time_limit_s),
					    .interrupt = interrupt };
	/* Both paths may be on a network filesystem that hangs. Nothing needs cleaning up yet. */
	interrupt_allow(session.channel.deadline);
	if (args->source[0] != '/')
		source = realpath(args->source, NULL);
	mountpoint = open_mountpoint(authority, &session.mountpoint_mode);
	interrupt_disallow();
	if (mountpoint < 0)
		return HELPER_EXIT_FAILED;
	channel_set_progress(&session.channel, "the service to accept the connection");
	status = connect_service(args, &session.channel, is_optional);
	if (status != HELPER_EXIT_MOUNTED)
		return status;
	session.mountpoint = mountpoint;
	session.absolute_source = source;
	status = report_result(&session, session_run(&session));
	channel_close(&session.channel);
	return status;
}

int mount_request_has_service(const char *subtype)
{
	_cleanup_free_ char *path = NULL;
	const char *reason;
	int error = socket_dir_find(subtype, &path, &reason);

	if (error == -EPERM)
		return error;
	return error == 0 && access(path, W_OK) == 0;
}

enum helper_exit_status mount_request_run(const struct mount_args *args, bool is_optional)
{
	_cleanup_authority_ struct authority authority = { 0 };
	enum helper_exit_status result;
	struct sigaction actions[CHANGED_SIGNAL_COUNT];
	sigset_t mask;

	if (authority_load(&authority, args) < 0) {
		diag_error("out of memory");
		return HELPER_EXIT_FAILED;
	}
	/*
	 * Save the signal mask and handlers. They are restored below if the caller executes another
	 * program.
	 */
	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (size_t i = 0; i < CHANGED_SIGNAL_COUNT; i++)
		sigaction(changed_signals[i], NULL, &actions[i]);
	result = mount_through_service(args, &authority, is_optional);
	if (result != HELPER_EXIT_NO_SERVICE)
		return result;
	for (size_t i = 0; i < CHANGED_SIGNAL_COUNT; i++)
		sigaction(changed_signals[i], &actions[i], NULL);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return result;
}
