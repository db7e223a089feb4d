/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/process.h"

#include "base/array.h"
#include "base/cleanup.h"

#include <inttypes.h>
#include <string.h>

/* The processes are not read at one moment: more generations than these are a loop. */
#define MOST_GENERATIONS 1000

/* Fields of /proc/PID/stat, see proc(5). */
struct status {
	pid_t parent;
	uint64_t start;
	long pages;
};

static int read_status(pid_t pid, struct status *status)
{
	_cleanup_file_ FILE *file = NULL;
	/* The program's name, of at most 64 bytes, and 23 numbers of at most 20 digits. */
	char path[32], text[1024], *rest;
	size_t length;

	*status = (struct status){ 0 };
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	length = fread(text, 1, sizeof(text) - 1, file);
	text[length] = '\0';
	/* The name may have spaces and parentheses in it; behind its last one there are none. */
	rest = strrchr(text, ')');
	if (!rest || sscanf(rest,
			    ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
			    "%*d %*d %" SCNu64 " %*u %ld",
			    &status->parent, &status->start, &status->pages) != 3)
		return -EIO;
	return 0;
}

int process_identify(pid_t pid, struct process *process)
{
	struct status status;
	int error = read_status(pid, &status);

	*process = (struct process){ 0 };
	if (error < 0)
		return error;
	*process = (struct process){ .pid = pid, .start = status.start };
	return 0;
}

static int add(struct processes *processes, pid_t pid, const struct status *status)
{
	struct process_entry *entries =
		array_grow(processes->entries, processes->count, sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	processes->entries = entries;
	entries[processes->count++] = (struct process_entry){
		.pid = pid,
		.parent = status->parent,
		.memory = (int64_t)status->pages * sysconf(_SC_PAGESIZE),
	};
	return 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct process_entry *one = a, *other = b;

	return (one->pid > other->pid) - (one->pid < other->pid);
}

static struct process_entry *find(const struct processes *processes, pid_t pid)
{
	const struct process_entry key = { .pid = pid };

	return processes->count == 0
		       ? NULL
		       : bsearch(&key, processes->entries, processes->count, sizeof(key), by_pid);
}

/* Adds each process to all that it comes from. */
static void add_up(const struct processes *processes)
{
	for (size_t i = 0; i < processes->count; i++) {
		struct process_entry *elder = &processes->entries[i];

		for (int age = 0; elder && age < MOST_GENERATIONS; age++) {
			elder->family += processes->entries[i].memory;
			elder = find(processes, elder->parent);
		}
	}
}

int processes_load(struct processes *processes)
{
	_cleanup_directory_ DIR *directory = opendir("/proc");
	const struct dirent *entry;
	int error = 0;

	*processes = (struct processes){ 0 };
	if (!directory)
		return -errno;
	while (error == 0 && (entry = readdir(directory))) {
		struct status status;
		pid_t pid = atoi(entry->d_name);

		/* One that ends meanwhile is none. */
		if (pid > 0 && read_status(pid, &status) == 0)
			error = add(processes, pid, &status);
	}
	if (processes->count > 0)
		qsort(processes->entries, processes->count, sizeof(struct process_entry), by_pid);
	add_up(processes);
	return error;
}

int64_t processes_get_tree_memory(const struct processes *processes, pid_t pid)
{
	const struct process_entry *found = find(processes, pid);

	return found ? found->family : 0;
}

void processes_free(struct processes *processes)
{
	free(processes->entries);
	*processes = (struct processes){ 0 };
}
