/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/unit_report.h"

#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/human_size.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

/* The value of systemd for no limit. */
#define NO_LIMIT UINT64_MAX

#define RATING           "Overall exposure level for "
#define RATING_TIMEOUT_S 20
#define MAX_REPORT_SIZE  65536

/*
 * The meaning of unit properties, in lines PROPERTY|VALUE|CLOSED|OPEN. If the property matches
 * VALUE, a pattern of glob(7), the report says CLOSED, otherwise OPEN. The elements of a list are
 * separated by spaces. A property that this systemd does not know is empty. For limits, the report
 * says "at most NUMBER" before CLOSED. This is one string, because a table of pointers would cost
 * relocations at each start of the executable.
 */
#define COUNT "<count>"
#define BYTES "<bytes>"

/* clang-format off */
static const char meanings[] =
	"DynamicUser|yes|a separate user for each mount|a user that is shared with other services\n"
	"CapabilityBoundingSet|0|no capabilities|capabilities\n"
	"NoNewPrivileges|yes|set-user-ID programs have no effect|privileges of set-user-ID programs\n"
	"PrivateUsers|yes|the users of the system are hidden|the users of the system\n"
	"PrivateNetwork|yes|no network|the network\n"
	"RestrictAddressFamilies|yes|no sockets can be created|sockets\n"
	"PrivateDevices|yes|no devices|devices\n"
	"DevicePolicy|closed|device nodes cannot be used|device nodes\n"
	"IPAddressDeny|?*|some network addresses are denied|all network addresses\n"
	"RootDirectory|/*|a private root directory|the root directory of the system\n"
	"ProtectSystem|strict|the files of the system are read-only|writing to files of the system\n"
	"ProtectHome|yes|no home directories|home directories\n"
	"ProtectProc|invisible|other processes are hidden|the list of processes\n"
	"ProcSubset|pid|only its own processes in /proc|information about the kernel in /proc\n"
	"PrivateIPC|yes|no shared memory or message queues of other processes|shared memory of other processes\n"
	"KeyringMode|private|no keys of other processes|keys of other processes\n"
	"ProtectControlGroups|yes|control groups cannot be changed|control groups\n"
	"ProtectKernelTunables|yes|kernel settings cannot be changed|kernel settings\n"
	"ProtectKernelModules|yes|kernel modules cannot be loaded|loading kernel modules\n"
	"ProtectKernelLogs|yes|kernel messages cannot be read|kernel messages\n"
	"ProtectClock|yes|the clock cannot be set|setting the clock\n"
	"ProtectHostname|yes|the host name cannot be changed|changing the host name\n"
	"RestrictNamespaces|0|namespaces cannot be created|creating namespaces\n"
	"RestrictRealtime|yes|no real-time priority|real-time priority\n"
	"RestrictSUIDSGID|yes|set-user-ID files cannot be created|creating set-user-ID files\n"
	"LockPersonality|yes|the execution domain cannot be changed|changing the execution domain\n"
	"MemoryDenyWriteExecute|yes|no memory that is writable and executable|memory that is writable and executable\n"
	"SystemCallFilter|yes *|only system calls of an allow list|all system calls\n"
	"SystemCallArchitectures|native|only system calls of the native architecture|system calls of other architectures\n"
	"LimitCORE|0|no core dumps|core dumps, which contain what it has read\n"
	"MemoryMax|" BYTES "|of memory|unlimited memory\n"
	"MemorySwapMax|0|no swap|swap\n"
	"TasksMax|" COUNT "|processes and threads|unlimited processes\n";
/* clang-format on */

struct meaning {
	const char *property, *value, *closed, *open;
};

/* Parse the next line at *CURSORP. Return false at the end. */
static bool next_meaning(char **cursor, struct meaning *meaning)
{
	char *line = strsep(cursor, "\n");

	if (!line || !*line)
		return false;
	meaning->property = strsep(&line, "|");
	meaning->value = strsep(&line, "|");
	meaning->closed = strsep(&line, "|");
	meaning->open = strsep(&line, "|");
	return true;
}

/* Format the limit VALUE into NUMBER. Return false if there is no limit. */
static bool format_limit(const char *value, bool bytes, char number[HUMAN_SIZE_MAX])
{
	uint64_t limit = *value ? strtoull(value, NULL, 10) : NO_LIMIT;

	if (bytes)
		human_size(limit, number);
	else
		snprintf(number, HUMAN_SIZE_MAX, "%" PRIu64, limit);
	return limit != NO_LIMIT;
}

/* Add the text for VALUE of a property to CLOSED or to OPEN. */
static void add_meaning(const struct meaning *meaning, const char *value, struct strv *closed,
			struct strv *open)
{
	bool bytes = strcmp(meaning->value, BYTES) == 0;
	char number[HUMAN_SIZE_MAX], text[80];

	if (!bytes && strcmp(meaning->value, COUNT) != 0) {
		if (fnmatch(meaning->value, value, 0) == 0)
			strv_add(closed, meaning->closed);
		else
			strv_add(open, meaning->open);
	} else if (format_limit(value, bytes, number)) {
		snprintf(text, sizeof(text), "at most %s %s", number, meaning->closed);
		strv_add(closed, text);
	} else {
		strv_add(open, meaning->open);
	}
}

static int get_property(struct systemd *systemd, const char *unit, const char *interface,
			const char *property, char **valuep)
{
	_cleanup_strv_ struct strv values = { 0 };
	int error = systemd_get_property(systemd, unit, interface, property, &values);

	if (error < 0 && error != -ENOENT)
		return error;
	*valuep = strv_join(&values, ' ');
	return *valuep ? 0 : -ENOMEM;
}

/* A unit that does not exist would have default properties. */
static bool is_loaded(struct systemd *systemd, const char *unit)
{
	_cleanup_free_ char *state = NULL;

	return get_property(systemd, unit, SYSTEMD_UNIT, "LoadState", &state) == 0 &&
	       strcmp(state, "loaded") == 0;
}

int unit_report_describe(struct systemd *systemd, const char *service, char **closedp, char **openp)
{
	_cleanup_strv_ struct strv closed = { 0 }, open = { 0 };
	char text[sizeof(meanings)];
	struct meaning meaning;
	int error = 0;

	*closedp = *openp = NULL;
	memcpy(text, meanings, sizeof(text));
	if (!is_loaded(systemd, service))
		return 0;
	for (char *cursor = text; error == 0 && next_meaning(&cursor, &meaning);) {
		_cleanup_free_ char *value = NULL;

		error = get_property(systemd, service, SYSTEMD_SERVICE, meaning.property, &value);
		if (error == 0)
			add_meaning(&meaning, value, &closed, &open);
	}
	if (error < 0)
		return error;
	*closedp = strv_join(&closed, '\n');
	*openp = strv_join(&open, '\n');
	return *closedp && *openp ? 0 : -ENOMEM;
}

/* Run ARGV, which is looked up in PATH, with OUTPUT as standard output. Return its process ID or a
 * negative errno. */
static pid_t start_program(const char *const *argv, int output)
{
	posix_spawn_file_actions_t files;
	pid_t pid;
	int error = posix_spawn_file_actions_init(&files);

	if (error != 0)
		return -error;
	error = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0);
	if (error == 0)
		error = posix_spawn_file_actions_adddup2(&files, output, 1);
	if (error == 0)
		error = posix_spawn_file_actions_adddup2(&files, 0, 2);
	if (error == 0)
		error = posix_spawnp(&pid, argv[0], &files, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&files);
	return error != 0 ? -error : pid;
}

/* Read from FD until its end or DEADLINE. Text beyond SIZE is dropped. */
static void read_all(int fd, int64_t deadline, char *text, size_t size)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	size_t used = 0;
	ssize_t got = 1;

	while (got > 0 && used + 1 < size && poll(&wait, 1, deadline_left(deadline)) > 0) {
		got = read(fd, text + used, size - used - 1);
		used += got > 0 ? (size_t)got : 0;
	}
	text[used] = '\0';
}

int64_t unit_report_exposure(const char *service)
{
	const char *const argv[] = { "systemd-analyze", "--no-pager", "security", service, NULL };
	_cleanup_free_ char *text = malloc(MAX_REPORT_SIZE);
	int pipe_fds[2], whole, tenth;
	const char *rating;
	pid_t pid;

	if (!text || pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -1;
	pid = start_program(argv, pipe_fds[1]);
	close_fd(pipe_fds[1]);
	if (pid > 0)
		read_all(pipe_fds[0], deadline_in(RATING_TIMEOUT_S), text, MAX_REPORT_SIZE);
	close_fd(pipe_fds[0]);
	if (pid <= 0)
		return -1;
	/* The tool has closed its output, or has reached the time limit. */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	rating = strstr(text, RATING);
	rating = rating ? strchr(rating, ':') : NULL;
	return rating && sscanf(rating, ": %d.%d", &whole, &tenth) == 2 ? whole * 1000 + tenth * 100
									: -1;
}
