/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper/mount_request.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/diag.h"
#include "base/interrupt.h"
#include "base/parse.h"
#include "config.h"
#include "helper/policy.h"
#include "helper/session.h"
#include "protocol/socket_dir.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

/* Seconds until the first answer, and for the whole mount. */
#define PATIENCE      30
#define MOUNT_SECONDS 90

/* Is there where systemd runs, see sd_booted(3). */
#define SYSTEMD_RUNS "/run/systemd/system"

/* What interrupt.h handles in a way of its own: a caller may have had them ignored. */
static const int handled[] = { SIGPIPE, SIGXFSZ, SIGALRM };

#define HANDLED_COUNT ARRAY_SIZE(handled)

/* The time for the whole mount; 0 where the command line gives none that makes sense. */
static unsigned int mount_seconds(const struct mount_args *args)
{
	unsigned int seconds = MOUNT_SECONDS;

	for (const char *cursor = args->options.helper ? args->options.helper : "";;) {
		_cleanup_free_ char *value = NULL;

		if (options_next_value(&cursor, OPTION_TIMEOUT, &value) <= 0)
			return seconds;
		if (parse_seconds(value, 1, &seconds) < 0)
			return 0;
	}
}

/*
 * Opens the mountpoint, once: from here on it is this descriptor, whatever becomes of the name.
 * Users could make the last part of the name a symlink to a place that is not theirs.
 */
static int open_mountpoint(const struct policy *policy, mode_t *modep)
{
	const char *name = policy->args->mountpoint, *why = NULL;
	_cleanup_close_ int fd = -1;
	struct stat status = { 0 };
	int error;

	fd = open(name, O_PATH | O_CLOEXEC | (policy->root ? 0 : O_NOFOLLOW));
	error = fd < 0 || fstat(fd, &status) < 0 ? -errno : policy_mountpoint(policy, fd, &why);
	*modep = status.st_mode;
	if (error < 0) {
		diag_error("cannot mount on %s%s%s: %s", name, why ? ", " : "", why ? why : "",
			   strerror(-error));
		return error;
	}
	return take_fd(&fd);
}

static bool is_no_service(int error)
{
	return error == -ENOENT || error == -ECONNREFUSED || error == -ENOBUFS;
}

/* Connects to the service; OPTIONAL: that there is none needs no word. */
static enum mount_result connect_service(const struct mount_args *args, struct channel *channel,
					 bool optional)
{
	_cleanup_free_ char *path = NULL;
	const char *why = NULL;
	int error = socket_dir_find(args->subtype, &path, &why);

	if (error == 0)
		error = channel_connect(channel, path);
	if (error == 0)
		return MOUNT_RESULT_DONE;
	if (optional && is_no_service(error))
		return MOUNT_RESULT_NO_SERVICE;
	if (is_no_service(error)) {
		diag_error("no service for %s: %s (%s); try: systemctl enable --now fsvc-%s.socket",
			   args->subtype, path ? path : SERVICE_SOCKET_DIR, strerror(-error),
			   args->subtype);
		return MOUNT_RESULT_NO_SERVICE;
	}
	diag_error("cannot use the service for %s%s%s: %s", args->subtype, why ? ": " : "",
		   why ? why : "", strerror(-error));
	return MOUNT_RESULT_FAILED;
}

/*
 * Where to read what the service has said itself. systemd names an instance after the connection:
 * its number, our pid (in later versions than 257 with more beside it), our uid.
 */
static void name_log(char *log, size_t size)
{
	if (access(SYSTEMD_RUNS, F_OK) < 0 && access(SERVICE_LOCK_FILE, F_OK) == 0)
		snprintf(log, size, "; the service's log: what fsvc-listen says");
	else
		snprintf(log, size, "; the service's log: journalctl -u '*@*-%d[-_]*%d.service'",
			 getpid(), geteuid());
}

/* Says how it went, in one line. */
static enum mount_result report(const struct session *session, int error)
{
	const struct mount_args *args = session->args;
	char log[128] = "";

	if (error == 0 && session->reason[0])
		diag_warning("%s on %s: %s", args->source, args->mountpoint, session->reason);
	if (error == 0)
		return MOUNT_RESULT_DONE;
	if (session->service_failed)
		name_log(log, sizeof(log));
	diag_error("cannot mount %s on %s: %s%s", args->source, args->mountpoint, session->reason,
		   log);
	return MOUNT_RESULT_FAILED;
}

static enum mount_result mount_line(const struct mount_args *args, const struct policy *policy,
				    bool optional)
{
	_cleanup_close_ int mountpoint = -1, interrupt = -1;
	_cleanup_free_ char *source = NULL;
	unsigned int seconds = mount_seconds(args);
	struct session session = { .args = args, .policy = policy, .patience = PATIENCE };
	enum mount_result code;

	if (seconds == 0) {
		diag_error("%s wants 1 to %d seconds", OPTION_TIMEOUT, MAX_SECONDS);
		return MOUNT_RESULT_FAILED;
	}
	interrupt = interrupt_open();
	if (interrupt < 0) {
		diag_error("cannot prepare for signals: %s", strerror(-interrupt));
		return MOUNT_RESULT_FAILED;
	}
	session.channel = (struct channel){ .fd = -1,
					    .deadline = deadline_in(seconds),
					    .interrupt = interrupt };
	/* They may be on a network that is gone, and nothing is left behind yet. */
	interrupt_allow(session.channel.deadline);
	if (args->source[0] != '/')
		source = realpath(args->source, NULL);
	mountpoint = open_mountpoint(policy, &session.mountpoint_mode);
	interrupt_disallow();
	if (mountpoint < 0)
		return MOUNT_RESULT_FAILED;
	channel_set_progress(&session.channel, "the service to take the connection");
	code = connect_service(args, &session.channel, optional);
	if (code != MOUNT_RESULT_DONE)
		return code;
	session.mountpoint = mountpoint;
	session.whole_source = source;
	code = report(&session, session_run(&session));
	channel_close(&session.channel);
	return code;
}

int mount_request_has_service(const char *subtype)
{
	_cleanup_free_ char *path = NULL;
	const char *why;
	int error = socket_dir_find(subtype, &path, &why);

	if (error == -EPERM)
		return error;
	return error == 0 && access(path, W_OK) == 0;
}

enum mount_result mount_request_run(const struct mount_args *args, bool optional)
{
	_cleanup_policy_ struct policy policy = { 0 };
	enum mount_result result;
	struct sigaction actions[HANDLED_COUNT];
	sigset_t mask;

	if (policy_load(&policy, args) < 0) {
		diag_error("no memory");
		return MOUNT_RESULT_FAILED;
	}
	/* What the caller executes instead must not inherit the signals that are held back here. */
	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (size_t i = 0; i < HANDLED_COUNT; i++)
		sigaction(handled[i], NULL, &actions[i]);
	result = mount_line(args, &policy, optional);
	if (result != MOUNT_RESULT_NO_SERVICE)
		return result;
	for (size_t i = 0; i < HANDLED_COUNT; i++)
		sigaction(handled[i], &actions[i], NULL);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return result;
}
