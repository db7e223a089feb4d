/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/process.h"

#include "base/array.h"
#include "base/cleanup.h"

#include <inttypes.h>
#include <string.h>

/* The snapshot is not atomic, so parents can form a loop. */
#define MAX_GENERATIONS 1000

/* Fields of /proc/PID/stat, see proc(5). */
struct status {
	pid_t parent;
	uint64_t start;
	long pages;
};

static int read_status(pid_t pid, struct status *status)
{
	_cleanup_file_ FILE *file = NULL;
	/* The program name has at most 64 bytes, and each of the numbers at most 20 digits. */
	char path[32], text[1024], *rest;
	size_t length;

	*status = (struct status){ 0 };
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	length = fread(text, 1, sizeof(text) - 1, file);
	text[length] = '\0';
	/* The name can contain spaces and parentheses; only the name contains ')'. */
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

static int add_entry(struct processes *processes, pid_t pid, const struct status *status)
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

static int compare_pids(const void *a, const void *b)
{
	const struct process_entry *one = a, *other = b;

	return (one->pid > other->pid) - (one->pid < other->pid);
}

static struct process_entry *find_entry(const struct processes *processes, pid_t pid)
{
	const struct process_entry key = { .pid = pid };

	return processes->count == 0 ? NULL
				     : bsearch(&key, processes->entries, processes->count,
					       sizeof(key), compare_pids);
}

/* Add the memory of each process to all its ancestors. */
static void sum_tree_memory(const struct processes *processes)
{
	for (size_t i = 0; i < processes->count; i++) {
		struct process_entry *ancestor = &processes->entries[i];

		for (int generation = 0; ancestor && generation < MAX_GENERATIONS; generation++) {
			ancestor->tree_memory += processes->entries[i].memory;
			ancestor = find_entry(processes, ancestor->parent);
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

		/* Skip a process that has exited since readdir(3). */
		if (pid > 0 && read_status(pid, &status) == 0)
			error = add_entry(processes, pid, &status);
	}
	if (processes->count > 0)
		qsort(processes->entries, processes->count, sizeof(struct process_entry),
		      compare_pids);
	sum_tree_memory(processes);
	return error;
}

int64_t processes_get_tree_memory(const struct processes *processes, pid_t pid)
{
	const struct process_entry *found = find_entry(processes, pid);

	return found ? found->tree_memory : 0;
}

void processes_free(struct processes *processes)
{
	free(processes->entries);
	*processes = (struct processes){ 0 };
}
