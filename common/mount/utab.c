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

/* the paths of libmount */
#define DIRECTORY "/run/mount"
#define TABLE     DIRECTORY "/utab"
#define NEW_TABLE DIRECTORY "/utab.fsvc"
#define LOCK      DIRECTORY "/utab.lock"
#define EVENT     DIRECTORY "/utab.event"

/* The server is recorded in ATTRS, which libmount keeps but does not read. */
#define OUR_ATTRIBUTE    "fsvc.server="
#define SERVER_ATTRIBUTE OUR_ATTRIBUTE "%d:%" PRIu64
#define SERVER_PATTERN   OUR_ATTRIBUTE "%d:%" SCNu64

/*
 * Above this size, remove entries of helpers that were killed between recording and mounting: a
 * user who kills helpers must not fill the table.
 */
#define MAX_CLEAN_TABLE_SIZE (1 << 20)

/* Timeout and poll interval for the lock, which every user who can read its file can hold. */
#define LOCK_TIMEOUT_S   5
#define LOCK_INTERVAL_NS 2000000

/*
 * A change of the table. If REMOVE is false, add ENTRY. If REMOVE is true, remove the last entry
 * with the target and, unless it is NULL, the option of ENTRY.
 */
struct table_change {
	const struct utab_entry *entry;
	bool remove;
};

/* Write VALUE with escapes \NNN: a space would end it. */
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

/*
 * Return an unescaped copy of the value in LINE after NAME, which includes the space before
 * it, or NULL.
 */
static char *get_value(const char *line, const char *name)
{
	const char *found = strstr(line, name);
	char *value = found ? strdup(found + strlen(name)) : NULL;

	if (value)
		value[strcspn(value, " \n")] = '\0';
	return mountinfo_unescape(value);
}

/* Return true if LINE is an entry for TARGET with OPTION; a NULL option matches always. */
static bool is_entry_for(const char *line, const char *target, const char *option)
{
	_cleanup_free_ char *value = get_value(line, " TARGET="), *options = NULL;

	if (!value || strcmp(value, target) != 0)
		return false;
	if (option)
		options = get_value(line, " OPTS=");
	return !option || options_contain(options, option);
}

/*
 * Return the number, from 1, of the last line for TARGET and OPTION, or 0, and store the line in
 * *LINEP. The last line belongs to the topmost mount.
 */
static size_t find_last(FILE *table, const char *target, const char *option, char **linep)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0, found = 0;

	for (size_t number = 1; getline(&line, &size, table) >= 0; number++) {
		if (!is_entry_for(line, target, option))
			continue;
		found = number;
		free(*linep);
		*linep = take_pointer(line);
		size = 0;
	}
	rewind(table);
	return found;
}

static int compare_strings(const void *one, const void *other)
{
	return strcmp(*(char *const *)one, *(char *const *)other);
}

/* List all mountpoints, sorted. Return 0 or a negative errno. */
static int list_targets(struct strv *targets)
{
	_cleanup_mountinfo_ struct mountinfo mount = { 0 };
	_cleanup_file_ FILE *mounts = mountinfo_open();
	int more = mounts ? 0 : -errno;

	while (mounts && (more = mountinfo_next(mounts, &mount)) > 0)
		strv_add(targets, mount.target);
	if (more < 0 || targets->failed)
		return more < 0 ? more : -ENOMEM;
	if (targets->count > 0)
		qsort(targets->argv, targets->count, sizeof(char *), compare_strings);
	return 0;
}

/* Return true if LINE is an entry that fsvc wrote for a path that is not a mountpoint. */
static bool is_stale(const char *line, const struct strv *targets)
{
	_cleanup_free_ char *target = get_value(line, " TARGET=");

	return target && strstr(line, " ATTRS=" OUR_ATTRIBUTE) &&
	       !bsearch(&target, targets->argv, targets->count, sizeof(char *), compare_strings);
}

/*
 * Copy the lines of OLD except line number SKIPPED and, if TARGETS is not empty, stale ones. Return
 * 0 or a negative errno. getline(3) also fails if the caller has set a low memory limit; this is
 * not taken for the end of the file.
 */
static int copy_lines(FILE *old, FILE *table, size_t skipped, const struct strv *targets)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	for (size_t number = 1; getline(&line, &size, old) >= 0; number++)
		if (number != skipped && (targets->count == 0 || !is_stale(line, targets)))
			fputs(line, table);
	return feof(old) ? 0 : -EIO;
}

/* Write the changed table to TABLE. */
static int write_table(FILE *table, const struct table_change *change)
{
	_cleanup_strv_ struct strv targets = { 0 };
	_cleanup_file_ FILE *old = fopen(TABLE, "re");
	_cleanup_free_ char *line = NULL;
	struct stat status;
	size_t skipped = 0;
	int error = 0;

	if (!old && errno != ENOENT)
		return -errno;
	if (old && fstat(fileno(old), &status) == 0 && status.st_size > MAX_CLEAN_TABLE_SIZE)
		error = list_targets(&targets);
	if (old && change->remove)
		skipped = find_last(old, change->entry->target, change->entry->options, &line);
	if (old && error == 0)
		error = copy_lines(old, table, skipped, &targets);
	if (error < 0)
		return error;
	if (!change->remove)
		write_entry(table, change->entry);
	if (fflush(table) == EOF || fchmod(fileno(table), 0644) < 0)
		return -errno;
	/* An error of an earlier write is not reported by fflush(3). */
	return ferror(table) ? -EIO : 0;
}

/*
 * Replace the table by rename(2). The caller holds the lock, so if the new file exists, a killed
 * process has left it.
 */
static int replace_table(const struct table_change *change)
{
	_cleanup_file_ FILE *table = fopen(NEW_TABLE, "we");
	int error = table ? write_table(table, change) : -errno;

	if (error == 0 && rename(NEW_TABLE, TABLE) < 0)
		error = -errno;
	if (error < 0)
		unlink(NEW_TABLE);
	return error;
}

/* Take libmount's lock. Return its file descriptor, or a negative errno. */
static int take_lock(void)
{
	const struct timespec period = { .tv_nsec = LOCK_INTERVAL_NS };
	int64_t deadline = deadline_in(LOCK_TIMEOUT_S);
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

static int apply_change(void *argument)
{
	const struct table_change *change = argument;
	_cleanup_close_ int locked = -1;
	int error;

	if (change->remove && access(TABLE, F_OK) < 0)
		return 0;
	if (mkdir(DIRECTORY, 0755) < 0 && errno != EEXIST)
		return -errno;
	locked = take_lock();
	if (locked < 0)
		return locked;
	error = replace_table(change);
	/* Notify programs that watch this file, as util-linux does since 2.39. */
	close_fd(open(EVENT, O_WRONLY | O_CLOEXEC));
	return error;
}

int utab_add(const struct utab_entry *entry)
{
	if (!entry->options && entry->server.pid == 0)
		return 0;
	return privs_run_as_root(apply_change, &(struct table_change){ .entry = entry });
}

void utab_remove(const char *target, const char *option)
{
	struct utab_entry entry = { .target = target, .options = option };

	privs_run_as_root(apply_change, &(struct table_change){ .entry = &entry, .remove = true });
}

static int read_server(const char *line, struct process *server)
{
	_cleanup_free_ char *value = get_value(line, " ATTRS=");

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

int utab_for_each_server(void (*function)(void *argument, const struct utab_entry *entry),
			 void *argument)
{
	_cleanup_file_ FILE *table = fopen(TABLE, "re");
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	if (!table)
		return errno == ENOENT ? 0 : -errno;
	while (getline(&line, &size, table) >= 0) {
		_cleanup_free_ char *source = get_value(line, "SRC="),
				    *target = get_value(line, " TARGET=");
		struct utab_entry entry = { .source = source, .target = target };

		if (source && target && read_server(line, &entry.server) == 0)
			function(argument, &entry);
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

int utab_for_each_server(void (*function)(void *argument, const struct utab_entry *entry),
			 void *argument)
{
	(void)function, (void)argument;
	return 0;
}

#endif
