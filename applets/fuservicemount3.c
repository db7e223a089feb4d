/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuservicemount3: the mount helper. Mounts through a service, with nothing for the service but
 * what the command line names.
 */
#include "applet.h"
#include "cleanup.h"
#include "config.h"
#include "diag.h"
#include "interrupt.h"
#include "privs.h"
#include "session.h"
#include "socketdir.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { MOUNTED = 0, FAILED = 1, NO_SERVICE = 2 };

/* Seconds until the first answer, and for the whole mount. */
#define PATIENCE        30
#define MOUNT_SECONDS   90
#define LONGEST_SECONDS 86400
#define TIMEOUT_OPTION  "x-fsvc.timeout="

static const char help[] =
	"Usage: fuservicemount3 SOURCE MOUNTPOINT -t TYPE [-o OPTIONS] [SERVER'S ARGUMENTS]\n"
	"       fuservicemount3 -t TYPE --check\n"
	"\n"
	"Mounts SOURCE on MOUNTPOINT through the service for TYPE, a FUSE server that runs "
	"contained:\n"
	"it gets the files that this command line names, and nothing else.\n"
	"\n"
	"Options:\n"
	"  -t TYPE        the filesystem's type: NAME, fuse.NAME or fuseblk.NAME\n"
	"  -o OPTIONS     mount options, separated by commas: what mount(8) knows, the server's, "
	"and\n"
	"                 x-fsvc.timeout=SECONDS for the whole mount (90 unless given),\n"
	"                 x-fsvc.file=PATH for a file that the server needs beside SOURCE\n"
	"  -r, -w         the same as -o ro, -o rw\n"
	"  -n             keep no entry in user space's mount table\n"
	"  --check        exit with 0 if there is a service for TYPE that you may use, else with "
	"1\n"
	"  --help         this text\n"
	"  --version      the version\n"
	"\n"
	"Anything else is for the server, whose command line this is without -t.\n"
	"\n"
	"Exit code: 0 mounted; 1 failed, and nothing is mounted; 2 there is no service for TYPE.\n";

/* The time for the whole mount; 0 where the command line gives none that makes sense. */
static unsigned int mount_seconds(const struct mountline *line)
{
	unsigned int seconds = MOUNT_SECONDS;

	for (const char *cursor = line->options.table ? line->options.table : "";;) {
		_cleanup_free_ char *option = NULL;
		char rest;

		if (options_next(&cursor, &option) <= 0)
			return seconds;
		if (strncmp(option, TIMEOUT_OPTION, strlen(TIMEOUT_OPTION)) != 0)
			continue;
		if (sscanf(option + strlen(TIMEOUT_OPTION), "%9u%c", &seconds, &rest) != 1 ||
		    seconds > LONGEST_SECONDS)
			return 0;
	}
}

/* Takes --check out of the command line: it is said to the helper alone. */
static bool take_check(int *argc, char **argv)
{
	int kept = 1;

	for (int i = 1; i < *argc; i++)
		if (strcmp(argv[i], "--check") != 0 || strcmp(argv[i - 1], "-o") == 0)
			argv[kept++] = argv[i];
	if (kept == *argc)
		return false;
	argv[ *argc = kept] = NULL;
	return true;
}

static int parse(int argc, char **argv, struct mountline *line)
{
	const char *wrong = NULL;
	int error = mountline_parse(argc, (const char *const *)argv, line, &wrong);

	if (error == -EINVAL)
		diag_error("misplaced, or without its value: %s; see --help", wrong);
	else if (error < 0)
		diag_error("%s", strerror(-error));
	else if (!line->type)
		diag_error("no type: use -t TYPE; see --help");
	else
		return 0;
	return -EINVAL;
}

static int check(const struct mountline *line)
{
	_cleanup_free_ char *path = NULL;
	const char *why;

	return line->subtype && socketdir_find(line->subtype, &path, &why) == 0 &&
			       access(path, W_OK) == 0
		       ? MOUNTED
		       : FAILED;
}

/*
 * Opens the mountpoint, once: from here on it is this descriptor, whatever becomes of the name.
 * Users could make the last part of the name a symlink to a place that is not theirs.
 */
static int open_mountpoint(const struct policy *policy, char **targetp, mode_t *modep)
{
	const char *name = policy->line->mountpoint, *why = NULL;
	_cleanup_close_ int fd = -1;
	struct stat status = { 0 };
	char path[32];
	int error;

	fd = open(name, O_PATH | O_CLOEXEC | (policy->root ? 0 : O_NOFOLLOW));
	error = fd < 0 || fstat(fd, &status) < 0 ? -errno : policy_mountpoint(policy, fd, &why);
	*modep = status.st_mode;
	if (error < 0) {
		diag_error("cannot mount on %s%s%s: %s", name, why ? ", " : "", why ? why : "",
			   strerror(-error));
		return error;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*targetp = realpath(path, NULL);
	if (!*targetp) {
		error = -errno;
		diag_error("cannot mount on %s: %s (is /proc mounted?)", name, strerror(-error));
		return error;
	}
	return take_fd(&fd);
}

/* Connects to the service. Returns 0 or the exit code. */
static int connect_service(const struct mountline *line, struct channel *channel)
{
	_cleanup_free_ char *path = NULL;
	const char *why = NULL;
	int error = socketdir_find(line->subtype, &path, &why);

	if (error == 0)
		error = channel_connect(channel, path);
	if (error == 0)
		return 0;
	if (error == -ENOENT || error == -ECONNREFUSED || error == -ENOBUFS) {
		diag_error("no service for %s: %s (%s); try: systemctl enable --now fsvc-%s.socket",
			   line->subtype, path ? path : SERVICE_SOCKET_DIR, strerror(-error),
			   line->subtype);
		return NO_SERVICE;
	}
	diag_error("cannot use the service for %s%s%s: %s", line->subtype, why ? ": " : "",
		   why ? why : "", strerror(-error));
	return FAILED;
}

/*
 * Says how it went, in one line. systemd names an instance after the connection: its number, our
 * pid (in later versions than 257 with more beside it), our uid.
 */
static int report(const struct session *session, int error)
{
	const struct mountline *line = session->line;
	char log[128] = "";

	if (error == 0 && session->reason[0])
		diag_warning("%s on %s: %s", line->source, line->mountpoint, session->reason);
	if (error == 0)
		return MOUNTED;
	if (session->service_failed)
		snprintf(log, sizeof(log),
			 "; the service's log: journalctl -u '*@*-%d[-_]*%d.service'", getpid(),
			 geteuid());
	diag_error("cannot mount %s on %s: %s%s", line->source, line->mountpoint, session->reason,
		   log);
	return FAILED;
}

static int mount_line(const struct mountline *line, const struct policy *policy)
{
	_cleanup_close_ int mountpoint = -1, interrupt = -1;
	_cleanup_free_ char *target = NULL;
	unsigned int seconds = mount_seconds(line);
	struct session session = { .line = line, .policy = policy, .patience = PATIENCE };
	int code;

	if (seconds == 0) {
		diag_error("%s wants 1 to %d seconds", TIMEOUT_OPTION, LONGEST_SECONDS);
		return FAILED;
	}
	interrupt = interrupt_open();
	if (interrupt < 0) {
		diag_error("cannot prepare for signals: %s", strerror(-interrupt));
		return FAILED;
	}
	session.channel = (struct channel){ .fd = -1,
					    .deadline = deadline_in(seconds),
					    .interrupt = interrupt };
	/* It may be on a network that is gone, and nothing is left behind yet. */
	interrupt_let_through(session.channel.deadline);
	mountpoint = open_mountpoint(policy, &target, &session.mountpoint_mode);
	interrupt_hold();
	if (mountpoint < 0)
		return FAILED;
	channel_wait_for(&session.channel, "the service to take the connection");
	code = connect_service(line, &session.channel);
	if (code != 0)
		return code;
	session.mountpoint = mountpoint;
	session.target = target;
	code = report(&session, session_run(&session));
	channel_close(&session.channel);
	return code;
}

static int run(int argc, char **argv)
{
	__attribute__((cleanup(mountline_free))) struct mountline line = { 0 };
	__attribute__((cleanup(policy_free))) struct policy policy = { 0 };
	bool only_check = take_check(&argc, argv);

	if (parse(argc, argv, &line) < 0)
		return FAILED;
	if (only_check)
		return check(&line);
	if (!line.subtype) {
		diag_error("'%s' is no filesystem type", line.type);
		return FAILED;
	}
	if (!line.source || !line.mountpoint) {
		diag_error("no %s: fuservicemount3 SOURCE MOUNTPOINT -t TYPE; see --help",
			   line.source ? "mountpoint" : "source");
		return FAILED;
	}
	if (policy_load(&policy, &line) < 0) {
		diag_error("no memory");
		return FAILED;
	}
	return mount_line(&line, &policy);
}

const struct applet applet_fuservicemount3 = {
	.name = "fuservicemount3",
	.run = run,
	.mounts = true,
	.summary = "mounts a filesystem through a contained service",
	.help = help,
};
