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

/* False positive: gcc does not track pointers that are stored at an index it does not know. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

/* The option of a FUSE mount for the user who mounted it. */
#define USER_OPTION "user_id="

static void free_mount(struct listed_mount *mount)
{
	free(mount->source);
	free(mount->target);
	free(mount->type);
	free(mount->user);
	free(mount->unit);
	free(mount->since);
}

static int64_t get_uid(const char *options)
{
	_cleanup_free_ char *value = NULL;

	return options_next_value(&options, USER_OPTION, &value) > 0 ? strtol(value, NULL, 10) : -1;
}

static int add_mount(struct mount_list *list, const struct mountinfo *mount)
{
	const char *subtype = mount_args_subtype(mount->type);
	struct listed_mount *items = array_grow(list->items, list->count, sizeof(*items)), *added;

	if (!items)
		return -ENOMEM;
	list->items = items;
	added = &items[list->count];
	*added = (struct listed_mount){ .order = list->count++, .pid = -1, .memory = -1 };
	added->uid = get_uid(mount->options);
	added->source = strdup(mount->source);
	added->target = strdup(mount->target);
	added->type = strdup(subtype ? subtype : mount->type);
	return added->source && added->target && added->type ? 0 : -ENOMEM;
}

static int add_fuse_mounts(struct mount_list *list)
{
	_cleanup_mountinfo_ struct mountinfo mount = { 0 };
	_cleanup_file_ FILE *table = mountinfo_open();
	int error = 0, result = table ? 1 : -errno;

	while (error == 0 && table && (result = mountinfo_next(table, &mount)) > 0)
		if (mountinfo_is_fuse(&mount))
			error = add_mount(list, &mount);
	return error < 0 ? error : result;
}

/* Order mounts with the same target as in mountinfo: the last one is on top. */
static int compare_mounts(const void *a, const void *b)
{
	const struct listed_mount *one = a, *other = b;
	int order = strcmp(one->target, other->target);

	return order != 0 ? order : (one->order > other->order) - (one->order < other->order);
}

static int compare_target(const void *target, const void *mount)
{
	return strcmp(target, ((const struct listed_mount *)mount)->target);
}

/*
 * Set the server of the mount that ENTRY describes. The same source may be mounted several times on
 * one target, and entries may be stale: the last entry belongs to the topmost mount.
 */
static void set_server(void *argument, const struct utab_entry *entry)
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

/* Remove mounts without a recorded server. */
static void remove_others(struct mount_list *list)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].server.pid > 0)
			list->items[kept++] = list->items[i];
		else
			free_mount(&list->items[i]);
	list->count = kept;
}

static char *get_user_name(int64_t uid)
{
	const struct passwd *user = uid < 0 ? NULL : account_by_id((uid_t)uid);
	char *number;

	if (user)
		return strdup(user->pw_name);
	return uid >= 0 && asprintf(&number, "%" PRId64, uid) >= 0 ? number : NULL;
}

/* Return the local time that was TICKS after boot, in the format of ISO 8601, which the caller
 * frees; or NULL. */
static char *format_boot_time(uint64_t ticks)
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
	/* strftime(3) leaves out the colon in the offset. */
	memmove(text + used - 1, text + used - 2, 3);
	text[used - 2] = ':';
	return strdup(text);
}

/* Return the systemd unit of PID, which the caller frees; or NULL. It is the first part of the
 * cgroup path that is the name of a service or a scope. */
static char *get_unit(pid_t pid)
{
	_cleanup_file_ FILE *file = NULL;
	_cleanup_free_ char *line = NULL;
	char path[32], *rest, *part;
	size_t size = 0;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	file = fopen(path, "re");
	while (file && getline(&line, &size, file) >= 0) {
		rest = line;
		while ((part = strsep(&rest, "/\n"))) {
			const char *dot = strrchr(part, '.');

			if (dot && (strcmp(dot, ".service") == 0 || strcmp(dot, ".scope") == 0))
				return strdup(part);
		}
	}
	return NULL;
}

static void set_details(struct listed_mount *mount, const struct processes *processes)
{
	struct process found;
	int64_t memory;

	mount->user = get_user_name(mount->uid);
	mount->since = format_boot_time(mount->server.start);
	if (process_identify(mount->server.pid, &found) < 0 || found.start != mount->server.start)
		return;
	mount->pid = found.pid;
	mount->unit = get_unit(found.pid);
	memory = processes_get_tree_memory(processes, found.pid);
	mount->memory = memory > 0 ? memory : -1;
}

int mount_list_load(struct mount_list *list)
{
	struct processes processes = { 0 };
	int error;

	*list = (struct mount_list){ 0 };
	error = add_fuse_mounts(list);
	if (error < 0 || list->count == 0)
		return error;
	qsort(list->items, list->count, sizeof(*list->items), compare_mounts);
	error = utab_for_each_server(set_server, list);
	remove_others(list);
	if (error == 0)
		error = processes_load(&processes);
	for (size_t i = 0; i < list->count; i++)
		set_details(&list->items[i], &processes);
	processes_free(&processes);
	return error;
}

void mount_list_free(struct mount_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free_mount(&list->items[i]);
	free(list->items);
	*list = (struct mount_list){ 0 };
}
