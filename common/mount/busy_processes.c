/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mount/busy_processes.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <string.h>

/* The number of names in the message. */
#define MAX_NAMES 5

/* Return true if the link NAME in the /proc directory of a process refers to a file on MOUNT. */
static bool is_on_mount(int directory, const char *name, int mount)
{
	_cleanup_close_ int fd = openat(directory, name, O_PATH | O_CLOEXEC);

	return fd >= 0 && mountinfo_get_id(fd) == mount;
}

static bool has_open_file(int process, int mount)
{
	int fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_directory_ DIR *files = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *file;

	if (!files) {
		close_fd(fd);
		return false;
	}
	while ((file = readdir(files)))
		if (file->d_name[0] != '.' && is_on_mount(dirfd(files), file->d_name, mount))
			return true;
	return false;
}

static bool has_mapped_file(int process, const struct mountinfo *mount)
{
	int fd = openat(process, "maps", O_RDONLY | O_CLOEXEC);
	_cleanup_file_ FILE *maps = fd >= 0 ? fdopen(fd, "r") : NULL;
	_cleanup_free_ char *line = NULL;
	unsigned int major, minor;
	size_t size = 0;

	if (!maps) {
		close_fd(fd);
		return false;
	}
	/* START-END FLAGS OFFSET MAJOR:MINOR INODE FILE */
	while (getline(&line, &size, maps) >= 0)
		if (sscanf(line, "%*s %*s %*s %x:%x", &major, &minor) == 2 &&
		    major == mount->major && minor == mount->minor)
			return true;
	return false;
}

static bool uses_mount(int process, const struct mountinfo *mount)
{
	return is_on_mount(process, "cwd", mount->id) || is_on_mount(process, "root", mount->id) ||
	       is_on_mount(process, "exe", mount->id) || has_open_file(process, mount->id) ||
	       has_mapped_file(process, mount);
}

struct name_list {
	char *text;
	size_t size;
	unsigned int count;
};

static void add_name(struct name_list *names, const char *name, const char *pid)
{
	size_t used = strlen(names->text);

	if (names->count++ < MAX_NAMES)
		snprintf(names->text + used, names->size - used, pid ? "%s%s (%s)" : "%s%s",
			 used ? ", " : "", name, pid);
}

static void add_process(struct name_list *names, int process, const char *pid)
{
	int fd = openat(process, "comm", O_RDONLY | O_CLOEXEC);
	char name[32];
	ssize_t length = fd >= 0 ? read(fd, name, sizeof(name) - 1) : -1;

	close_fd(fd);
	if (length < 0)
		return;
	name[length] = '\0';
	name[strcspn(name, "\n")] = '\0';
	add_name(names, name, pid);
}

static void add_mounts(struct name_list *names, int parent)
{
	_cleanup_mountinfo_ struct mountinfo mount = { 0 };
	_cleanup_file_ FILE *table = mountinfo_open();
	char text[256];

	while (table && mountinfo_next(table, &mount) > 0)
		if (mount.parent == parent) {
			snprintf(text, sizeof(text), "the mount on %s", mount.target);
			add_name(names, text, NULL);
		}
}

void busy_processes_describe(const struct mountinfo *mount, char *text, size_t size)
{
	_cleanup_directory_ DIR *processes = opendir("/proc");
	struct name_list names = { .text = text, .size = size };
	const struct dirent *entry;
	size_t used;

	text[0] = '\0';
	add_mounts(&names, mount->id);
	while (processes && (entry = readdir(processes))) {
		const char *pid = entry->d_name;
		_cleanup_close_ int process = -1;

		if (pid[strspn(pid, "0123456789")] != '\0' || atoi(pid) == getpid())
			continue;
		process = openat(dirfd(processes), pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (process >= 0 && uses_mount(process, mount))
			add_process(&names, process, pid);
	}
	used = strlen(text);
	if (names.count > MAX_NAMES)
		snprintf(text + used, size - used, " and %u more", names.count - MAX_NAMES);
}
