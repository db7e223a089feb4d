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

/* systemd's number for no limit. */
#define NO_LIMIT UINT64_MAX

#define RATING         "Overall exposure level for "
#define RATING_SECONDS 20
#define LONGEST_REPORT 65536

/*
 * What the properties of a unit mean, a line each: PROPERTY|VALUE|CLOSED|OPEN. VALUE, a pattern of
 * glob(7), closes something; the words of a list are separated by blanks. A property that this
 * systemd does not know closes nothing. Of a limit, CLOSED stands behind "at most NUMBER". It is
 * one text, since the loader has to look after each pointer in a table of them.
 */
#define COUNT "<count>"
#define BYTES "<bytes>"

/* clang-format off */
static const char meanings[] =
	"DynamicUser|yes|a user of its own for each mount|a user that others share\n"
	"CapabilityBoundingSet|0|no capability|capabilities\n"
	"NoNewPrivileges|yes|no way to gain privileges|privileges by set-user-ID programs\n"
	"PrivateUsers|yes|no user of the machine is known|the machine's users\n"
	"PrivateNetwork|yes|no network|the network\n"
	"RestrictAddressFamilies|yes|no socket of any kind|sockets\n"
	"PrivateDevices|yes|no device|devices\n"
	"DevicePolicy|closed|no device node can be used|device nodes\n"
	"IPAddressDeny|?*|addresses that are out of reach|every address of the network\n"
	"RootDirectory|/*|a root directory of its own|the machine's root directory\n"
	"ProtectSystem|strict|the machine's files cannot be written|writing of files\n"
	"ProtectHome|yes|no home directory|home directories\n"
	"ProtectProc|invisible|no other process can be seen|the list of processes\n"
	"ProcSubset|pid|nothing of /proc but its own|the kernel's data in /proc\n"
	"PrivateIPC|yes|no shared memory or message queue of others|others' shared memory\n"
	"KeyringMode|private|no key of others|the keys of others\n"
	"ProtectControlGroups|yes|no control group can be changed|control groups\n"
	"ProtectKernelTunables|yes|no setting of the kernel can be changed|the kernel's settings\n"
	"ProtectKernelModules|yes|no kernel module can be loaded|loading of kernel modules\n"
	"ProtectKernelLogs|yes|no message of the kernel can be read|the kernel's messages\n"
	"ProtectClock|yes|the clock cannot be set|setting of the clock\n"
	"ProtectHostname|yes|the machine cannot be renamed|renaming of the machine\n"
	"RestrictNamespaces|0|no namespace can be made|making of namespaces\n"
	"RestrictRealtime|yes|no real-time priority|real-time priority\n"
	"RestrictSUIDSGID|yes|no set-user-ID file can be made|making of set-user-ID files\n"
	"LockPersonality|yes|no change of the execution domain|change of the execution domain\n"
	"MemoryDenyWriteExecute|yes|no memory that is writable and executable|memory that is writable and executable\n"
	"SystemCallFilter|yes *|no system call but those of a list|system calls that no list allows\n"
	"SystemCallArchitectures|native|no system call of another architecture|system calls of other architectures\n"
	"LimitCORE|0|no core file|core files, with what it has read\n"
	"MemoryMax|" BYTES "|of memory|memory without limit\n"
	"MemorySwapMax|0|nothing is swapped out|memory that is swapped out\n"
	"TasksMax|" COUNT "|processes and threads|processes without limit\n";
/* clang-format on */

struct meaning {
	const char *property, *value, *closed, *open;
};

/* Takes the next line of *CURSOR apart, which moves on. */
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

/* Puts the limit that VALUE is into NUMBER. Returns whether there is one. */
static bool read_limit(const char *value, bool bytes, char number[HUMAN_SIZE_MAX])
{
	uint64_t limit = *value ? strtoull(value, NULL, 10) : NO_LIMIT;

	if (bytes)
		human_size(limit, number);
	else
		snprintf(number, HUMAN_SIZE_MAX, "%" PRIu64, limit);
	return limit != NO_LIMIT;
}

/* Adds what the property's VALUE does to CLOSED or to OPEN. */
static void explain(const struct meaning *meaning, const char *value, struct strv *closed,
		    struct strv *open)
{
	bool bytes = strcmp(meaning->value, BYTES) == 0;
	char number[HUMAN_SIZE_MAX], text[80];

	if (!bytes && strcmp(meaning->value, COUNT) != 0) {
		if (fnmatch(meaning->value, value, 0) == 0)
			strv_add(closed, meaning->closed);
		else
			strv_add(open, meaning->open);
	} else if (read_limit(value, bytes, number)) {
		snprintf(text, sizeof(text), "at most %s %s", number, meaning->closed);
		strv_add(closed, text);
	} else {
		strv_add(open, meaning->open);
	}
}

static int ask(struct systemd *systemd, const char *unit, const char *interface,
	       const char *property, char **valuep)
{
	_cleanup_strv_ struct strv words = { 0 };
	int error = systemd_property(systemd, unit, interface, property, &words);

	if (error < 0 && error != -ENOENT)
		return error;
	*valuep = strv_join(&words, ' ');
	return *valuep ? 0 : -ENOMEM;
}

/* There may be a socket without a service to start: systemd would tell its defaults. */
static bool is_there(struct systemd *systemd, const char *unit)
{
	_cleanup_free_ char *state = NULL;

	return ask(systemd, unit, SYSTEMD_UNIT, "LoadState", &state) == 0 &&
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
	if (!is_there(systemd, service))
		return 0;
	for (char *cursor = text; error == 0 && next_meaning(&cursor, &meaning);) {
		_cleanup_free_ char *value = NULL;

		error = ask(systemd, service, SYSTEMD_SERVICE, meaning.property, &value);
		if (error == 0)
			explain(&meaning, value, &closed, &open);
	}
	if (error < 0)
		return error;
	*closedp = strv_join(&closed, '\n');
	*openp = strv_join(&open, '\n');
	return *closedp && *openp ? 0 : -ENOMEM;
}

/* Starts WORDS, found in PATH, with OUTPUT for what it says. Returns its pid or a negative errno.
 */
static pid_t start(const char *const *words, int output)
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
		error = posix_spawnp(&pid, words[0], &files, NULL, (char *const *)words, environ);
	posix_spawn_file_actions_destroy(&files);
	return error != 0 ? -error : pid;
}

/* Reads from FD until its end, or DEADLINE. What does not fit is dropped. */
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
	const char *const words[] = { "systemd-analyze", "--no-pager", "security", service, NULL };
	_cleanup_free_ char *text = malloc(LONGEST_REPORT);
	int pipe_fds[2], whole, tenth;
	const char *rating;
	pid_t pid;

	if (!text || pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -1;
	pid = start(words, pipe_fds[1]);
	close_fd(pipe_fds[1]);
	if (pid > 0)
		read_all(pipe_fds[0], deadline_in(RATING_SECONDS), text, LONGEST_REPORT);
	close_fd(pipe_fds[0]);
	if (pid <= 0)
		return -1;
	/* It has said all, or takes too long. */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	rating = strstr(text, RATING);
	rating = rating ? strchr(rating, ':') : NULL;
	return rating && sscanf(rating, ": %d.%d", &whole, &tenth) == 2 ? whole * 1000 + tenth * 100
									: -1;
}
