/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/mount_list.h"

#include "base/account.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "mount/mountinfo.h"
#include "mount/utab.h"
#include "protocol/mount_args.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

/* What is stored at an index that gcc's analyzer does not know, it takes for lost. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

/* In the options of a FUSE mount: for whom it was mounted. */
#define USER_OPTION "user_id="

static void release(struct listed_mount *mounted)
{
	free(mounted->source);
	free(mounted->target);
	free(mounted->type);
	free(mounted->user);
	free(mounted->unit);
	free(mounted->since);
}

static int64_t user_in(const char *options)
{
	_cleanup_free_ char *value = NULL;

	return options_next_value(&options, USER_OPTION, &value) > 0 ? strtol(value, NULL, 10) : -1;
}

static int add(struct mount_list *list, const struct mountinfo *mount)
{
	const char *subtype = mount_args_subtype(mount->type);
	struct listed_mount *items = array_grow(list->items, list->count, sizeof(*items)), *added;

	if (!items)
		return -ENOMEM;
	list->items = items;
	added = &items[list->count];
	*added = (struct listed_mount){ .order = list->count++, .pid = -1, .memory = -1 };
	added->uid = user_in(mount->options);
	added->source = strdup(mount->source);
	added->target = strdup(mount->target);
	added->type = strdup(subtype ? subtype : mount->type);
	return added->source && added->target && added->type ? 0 : -ENOMEM;
}

static int add_all(struct mount_list *list)
{
	_cleanup_mountinfo_ struct mountinfo mount = { 0 };
	_cleanup_file_ FILE *table = mountinfo_open();
	int error = 0, more = table ? 1 : -errno;

	while (error == 0 && table && (more = mountinfo_next(table, &mount)) > 0)
		if (mountinfo_is_fuse(&mount))
			error = add(list, &mount);
	return error < 0 ? error : more;
}

/* The last one with a target is the one on top. */
static int by_target(const void *a, const void *b)
{
	const struct listed_mount *one = a, *other = b;
	int order = strcmp(one->target, other->target);

	return order != 0 ? order : (one->order > other->order) - (one->order < other->order);
}

static int compare_target(const void *target, const void *mounted)
{
	return strcmp(target, ((const struct listed_mount *)mounted)->target);
}

/*
 * Notes the server of ENTRY. Mounts of one source may lie upon each other, and there may be entries
 * of mounts that are gone: the last entry is that of the mount on top.
 */
static void take_server(void *argument, const struct utab_entry *entry)
{
	struct mount_list *list = argument;
	struct listed_mount *end = list->items + list->count, *found = NULL, *top = NULL;

	if (list->count > 0)
		found = bsearch(entry->target, list->items, list->count, sizeof(*found),
				compare_target);
	while (found && found > list->items && strcmp(found[-1].target, entry->target) == 0)
		found--;
	for (; found && found < end && strcmp(found->target, entry->target) == 0; found++) {
		if (strcmp(found->source, entry->source) != 0)
			continue;
		if (top)
			top->server = found->server;
		top = found;
	}
	if (top)
		top->server = entry->server;
}

/* Keeps those that have a server recorded. */
static void drop_others(struct mount_list *list)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].server.pid > 0)
			list->items[kept++] = list->items[i];
		else
			release(&list->items[i]);
	list->count = kept;
}

static char *name_of_user(int64_t uid)
{
	const struct passwd *user = uid < 0 ? NULL : account_by_id((uid_t)uid);
	char *number;

	if (user)
		return strdup(user->pw_name);
	return uid >= 0 && asprintf(&number, "%" PRId64, uid) >= 0 ? number : NULL;
}

/* The time, here and now, at TICKS after boot. */
static char *time_at(uint64_t ticks)
{
	struct timespec now, running;
	struct tm local;
	char text[40];
	time_t then;
	size_t used;

	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &running);
	then = now.tv_sec - running.tv_sec - (now.tv_nsec < running.tv_nsec) +
	       (time_t)(ticks / (uint64_t)sysconf(_SC_CLK_TCK));
	if (!localtime_r(&then, &local))
		return NULL;
	used = strftime(text, sizeof(text) - 1, "%FT%T%z", &local);
	if (used < 2)
		return NULL;
	/* ISO 8601 has a colon in the offset too. */
	memmove(text + used - 1, text + used - 2, 3);
	text[used - 2] = ':';
	return strdup(text);
}

/* The unit of systemd that PID is in, by its control group: the first part that is one. */
static char *unit_of(pid_t pid)
{
	_cleanup_file_ FILE *file = NULL;
	_cleanup_free_ char *line = NULL;
	char path[32], *rest, *part;
	size_t room = 0;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	file = fopen(path, "re");
	while (file && getline(&line, &room, file) >= 0) {
		rest = line;
		while ((part = strsep(&rest, "/\n"))) {
			const char *dot = strrchr(part, '.');

			if (dot && (strcmp(dot, ".service") == 0 || strcmp(dot, ".scope") == 0))
				return strdup(part);
		}
	}
	return NULL;
}

static void describe(struct listed_mount *mounted, const struct processes *processes)
{
	struct process found;
	int64_t memory;

	mounted->user = name_of_user(mounted->uid);
	mounted->since = time_at(mounted->server.start);
	if (process_identify(mounted->server.pid, &found) < 0 ||
	    found.start != mounted->server.start)
		return;
	mounted->pid = found.pid;
	mounted->unit = unit_of(found.pid);
	memory = processes_get_tree_memory(processes, found.pid);
	mounted->memory = memory > 0 ? memory : -1;
}

int mount_list_load(struct mount_list *list)
{
	struct processes processes = { 0 };
	int error;

	*list = (struct mount_list){ 0 };
	error = add_all(list);
	if (error < 0 || list->count == 0)
		return error;
	qsort(list->items, list->count, sizeof(*list->items), by_target);
	error = utab_for_each_server(take_server, list);
	drop_others(list);
	if (error == 0)
		error = processes_load(&processes);
	for (size_t i = 0; i < list->count; i++)
		describe(&list->items[i], &processes);
	processes_free(&processes);
	return error;
}

void mount_list_free(struct mount_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		release(&list->items[i]);
	free(list->items);
	*list = (struct mount_list){ 0 };
}
