/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mount/utab.h"

#include "config.h"

#if MOUNT_TABLE

#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/options.h"
#include "base/privs.h"
#include "base/strv.h"
#include "mount/mountinfo.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

/* As libmount names them. */
#define DIRECTORY "/run/mount"
#define TABLE     DIRECTORY "/utab"
#define NEW_TABLE DIRECTORY "/utab.fsvc"
#define LOCK      DIRECTORY "/utab.lock"
#define EVENT     DIRECTORY "/utab.event"

/* What belongs to nobody but us in an entry: its ATTRS, which libmount keeps and does not read. */
#define OUR_ATTRIBUTE    "fsvc.server="
#define SERVER_ATTRIBUTE OUR_ATTRIBUTE "%d:%" PRIu64
#define SERVER_PATTERN   OUR_ATTRIBUTE "%d:%" SCNu64

/*
 * A table of this size is looked through for what helpers have left that were killed between entry
 * and mount: who kills his own again and again is not to fill it. Mounts alone are seldom so many.
 */
#define LARGE_TABLE (1 << 20)

/* Seconds for the lock, which anybody may take who can read its file, and looks each (in ns). */
#define PATIENCE 5
#define PERIOD   2000000

/* One change: an entry to add, or the target of one to take away and an option that it has. */
struct change {
	const struct utab_entry *entry;
	bool remove;
};

/* In an entry a blank ends a value: it stands there as \NNN, and so does what could look like one.
 */
static void write_value(FILE *table, const char *name, const char *value)
{
	fputs(name, table);
	for (; *value; value++)
		if ((unsigned char)*value <= ' ' || strchr("\\\"#\177", *value))
			fprintf(table, "\\%03o", *value);
		else
			putc(*value, table);
}

static void write_entry(FILE *table, const struct utab_entry *entry)
{
	write_value(table, "SRC=", entry->source);
	write_value(table, " TARGET=", entry->target);
	fputs(" ROOT=/", table);
	if (entry->server.pid > 0)
		fprintf(table, " ATTRS=" SERVER_ATTRIBUTE, entry->server.pid, entry->server.start);
	if (entry->options)
		write_value(table, " OPTS=", entry->options);
	putc('\n', table);
}

/* The value in LINE that NAME, with the blank before it, introduces, in a copy without escapes; or
 * NULL. */
static char *value_of(const char *line, const char *name)
{
	const char *found = strstr(line, name);
	char *value = found ? strdup(found + strlen(name)) : NULL;

	if (value)
		value[strcspn(value, " \n")] = '\0';
	return mountinfo_unescape(value);
}

/* Whether LINE is the entry of TARGET, with OPTION, or NULL, among its options. */
static bool is_of(const char *line, const char *target, const char *option)
{
	_cleanup_free_ char *value = value_of(line, " TARGET="), *options = NULL;

	if (!value || strcmp(value, target) != 0)
		return false;
	if (option)
		options = value_of(line, " OPTS=");
	return !option || options_contain(options, option);
}

/*
 * The number, from 1, of the last line of TARGET and OPTION, see is_of(): what is on top of others
 * is mounted last. *LINEP gets the line. 0 where there is none.
 */
static size_t find_last(FILE *table, const char *target, const char *option, char **linep)
{
	_cleanup_free_ char *line = NULL;
	size_t room = 0, found = 0;

	for (size_t number = 1; getline(&line, &room, table) >= 0; number++) {
		if (!is_of(line, target, option))
			continue;
		found = number;
		free(*linep);
		*linep = take_pointer(line);
		room = 0;
	}
	rewind(table);
	return found;
}

static int compare(const void *one, const void *other)
{
	return strcmp(*(char *const *)one, *(char *const *)other);
}

/* Where anything is mounted, in order. Returns 0 or a negative errno. */
static int list_targets(struct strv *targets)
{
	_cleanup_mountinfo_ struct mountinfo mount = { 0 };
	_cleanup_file_ FILE *kernels = mountinfo_open();
	int more = kernels ? 0 : -errno;

	while (kernels && (more = mountinfo_next(kernels, &mount)) > 0)
		strv_add(targets, mount.target);
	if (more < 0 || targets->failed)
		return more < 0 ? more : -ENOMEM;
	if (targets->count > 0)
		qsort(targets->argv, targets->count, sizeof(char *), compare);
	return 0;
}

/* Whether LINE is an entry of ours for a place where nothing is mounted. */
static bool is_left_behind(const char *line, const struct strv *targets)
{
	_cleanup_free_ char *target = value_of(line, " TARGET=");

	return target && strstr(line, " ATTRS=" OUR_ATTRIBUTE) &&
	       !bsearch(&target, targets->argv, targets->count, sizeof(char *), compare);
}

/*
 * All lines of OLD but the one with number WITHOUT, if any, and those left behind, if TARGETS are
 * known. Returns 0 or a negative errno: a line for which a limit of the caller's leaves no memory
 * looks like the end, and is not.
 */
static int copy(FILE *old, FILE *table, size_t without, const struct strv *targets)
{
	_cleanup_free_ char *line = NULL;
	size_t room = 0;

	for (size_t number = 1; getline(&line, &room, old) >= 0; number++)
		if (number != without && (targets->count == 0 || !is_left_behind(line, targets)))
			fputs(line, table);
	return feof(old) ? 0 : -EIO;
}

/* Fills the new table, which takes the place of the old one by rename(2). */
static int fill(FILE *table, const struct change *change)
{
	_cleanup_strv_ struct strv targets = { 0 };
	_cleanup_file_ FILE *old = fopen(TABLE, "re");
	_cleanup_free_ char *line = NULL;
	struct stat status;
	size_t without = 0;
	int error = 0;

	if (!old && errno != ENOENT)
		return -errno;
	if (old && fstat(fileno(old), &status) == 0 && status.st_size > LARGE_TABLE)
		error = list_targets(&targets);
	if (old && change->remove)
		without = find_last(old, change->entry->target, change->entry->options, &line);
	if (old && error == 0)
		error = copy(old, table, without, &targets);
	if (error < 0)
		return error;
	if (!change->remove)
		write_entry(table, change->entry);
	if (fflush(table) == EOF || fchmod(fileno(table), 0644) < 0)
		return -errno;
	/* What could not be written before is lost, and not written by the last flush. */
	return ferror(table) ? -EIO : 0;
}

/* The lock is held: what is there under the new table's name was left behind. */
static int replace(const struct change *change)
{
	_cleanup_file_ FILE *table = fopen(NEW_TABLE, "we");
	int error = table ? fill(table, change) : -errno;

	if (error == 0 && rename(NEW_TABLE, TABLE) < 0)
		error = -errno;
	if (error < 0)
		unlink(NEW_TABLE);
	return error;
}

/* Takes the lock that libmount takes too. Returns its descriptor, or a negative errno. */
static int lock(void)
{
	const struct timespec period = { .tv_nsec = PERIOD };
	int64_t deadline = deadline_in(PATIENCE);
	int fd = open(LOCK, O_RDONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK || deadline_left(deadline) == 0) {
			int error = errno == EWOULDBLOCK ? -ETIMEDOUT : -errno;

			close(fd);
			return error;
		}
		nanosleep(&period, NULL);
	}
	return fd;
}

static int apply(void *argument)
{
	const struct change *change = argument;
	_cleanup_close_ int locked = -1;
	int error;

	if (change->remove && access(TABLE, F_OK) < 0)
		return 0;
	if (mkdir(DIRECTORY, 0755) < 0 && errno != EEXIST)
		return -errno;
	locked = lock();
	if (locked < 0)
		return locked;
	error = replace(change);
	/* Who watches the table waits until the lock is closed, or, since util-linux 2.39, this. */
	close_fd(open(EVENT, O_WRONLY | O_CLOEXEC));
	return error;
}

int utab_add(const struct utab_entry *entry)
{
	if (!entry->options && entry->server.pid == 0)
		return 0;
	return privs_run_as_root(apply, &(struct change){ .entry = entry });
}

void utab_remove(const char *target, const char *option)
{
	struct utab_entry entry = { .target = target, .options = option };

	privs_run_as_root(apply, &(struct change){ .entry = &entry, .remove = true });
}

static int read_server(const char *line, struct process *server)
{
	_cleanup_free_ char *value = value_of(line, " ATTRS=");

	if (value && sscanf(value, SERVER_PATTERN, &server->pid, &server->start) == 2)
		return 0;
	*server = (struct process){ 0 };
	return -ENOENT;
}

int utab_find_server(const char *target, struct process *server)
{
	_cleanup_file_ FILE *table = fopen(TABLE, "re");
	_cleanup_free_ char *line = NULL;

	*server = (struct process){ 0 };
	return table && find_last(table, target, NULL, &line) > 0 ? read_server(line, server)
								  : -ENOENT;
}

int utab_for_each_server(void (*take)(void *argument, const struct utab_entry *entry),
			 void *argument)
{
	_cleanup_file_ FILE *table = fopen(TABLE, "re");
	_cleanup_free_ char *line = NULL;
	size_t room = 0;

	if (!table)
		return errno == ENOENT ? 0 : -errno;
	while (getline(&line, &room, table) >= 0) {
		_cleanup_free_ char *source = value_of(line, "SRC="),
				    *target = value_of(line, " TARGET=");
		struct utab_entry entry = { .source = source, .target = target };

		if (source && target && read_server(line, &entry.server) == 0)
			take(argument, &entry);
	}
	return 0;
}

#else

#include <errno.h>

int utab_add(const struct utab_entry *entry)
{
	(void)entry;
	return 0;
}

void utab_remove(const char *target, const char *option)
{
	(void)target, (void)option;
}

int utab_find_server(const char *target, struct process *server)
{
	(void)target;
	*server = (struct process){ 0 };
	return -ENOENT;
}

int utab_for_each_server(void (*take)(void *argument, const struct utab_entry *entry),
			 void *argument)
{
	(void)take, (void)argument;
	return 0;
}

#endif
