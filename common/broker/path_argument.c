/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/path_argument.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void path_argument_normalize(char *path)
{
	char *out = path;

	/* OUT never overtakes IN, because the path begins with a slash. */
	if (*path != '/')
		return;
	for (const char *in = path; *in;) {
		size_t length;

		in += strspn(in, "/");
		length = strcspn(in, "/");
		if (length == 2 && in[0] == '.' && in[1] == '.') {
			while (out > path && *--out != '/')
				;
		} else if (length > 0 && !(length == 1 && in[0] == '.')) {
			*out++ = '/';
			memmove(out, in, length);
			out += length;
		}
		in += length;
	}
	if (out == path)
		*out++ = '/';
	*out = '\0';
}

/* Read the symlink /proc/PID/NAME into TARGET. Return its length or a negative errno. */
static ssize_t read_link(pid_t pid, const char *name, char target[PATH_MAX])
{
	char link[64];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/%d/%s", pid, name);
	length = readlink(link, target, PATH_MAX - 1);
	if (length < 0)
		return -errno;
	target[length] = '\0';
	return length;
}

/* Make PATH absolute: insert the path of the directory that it is relative to. */
static int make_absolute(const struct notification *notification, int directory_arg,
			 char path[PATH_MAX])
{
	int directory = directory_arg < 0 ? AT_FDCWD : (int)notification->arguments[directory_arg];
	char base[PATH_MAX], name[32] = "cwd";
	size_t length = strlen(path);
	ssize_t base_length;

	if (directory != AT_FDCWD)
		snprintf(name, sizeof(name), "fd/%d", directory);
	base_length = read_link(notification->pid, name, base);
	if (base_length < 0)
		return (int)base_length;
	/* "pipe:[5]" or "(unreachable)/x" */
	if (base[0] != '/')
		return -ENOTDIR;
	if ((size_t)base_length + 1 + length >= PATH_MAX)
		return -ENAMETOOLONG;
	memmove(path + base_length + 1, path, length + 1);
	memcpy(path, base, (size_t)base_length);
	path[base_length] = '/';
	return 0;
}

/* Return the process that the thread TID belongs to, or -1. */
static int process_of(pid_t tid)
{
	_cleanup_file_ FILE *file = NULL;
	char path[64], line[256];
	int process = -1;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	file = fopen(path, "re");
	while (file && process < 0 && fgets(line, sizeof(line), file))
		if (sscanf(line, "Tgid: %9d", &process) != 1)
			process = -1;
	return process;
}

/* Parse TEXT as a file descriptor number. Return it, or -1. */
static int parse_fd(const char *text)
{
	unsigned int number;

	return parse_number(text, INT_MAX, &number) < 0 ? -1 : (int)number;
}

/*
 * If PATH names a file descriptor of the thread TID (/proc/self/fd/3, /dev/fd/3), return its
 * number; otherwise -1.
 */
static int find_fd_number(pid_t tid, const char *path)
{
	static const char *const prefixes[] = { "/proc/self/fd/", "/proc/thread-self/fd/",
						"/dev/fd/" };
	int process, end = 0;

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (strncmp(path, prefixes[i], strlen(prefixes[i])) == 0)
			return parse_fd(path + strlen(prefixes[i]));
	/* The path may contain the ID of the process or of a thread. */
	if (sscanf(path, "/proc/self/task/%9d/fd/%n", &process, &end) == 1 && end > 0)
		return parse_fd(path + end);
	if (sscanf(path, "/proc/%9d/fd/%n", &process, &end) == 1 && end > 0 &&
	    process == process_of(tid))
		return parse_fd(path + end);
	return -1;
}

/* If PATH names a file descriptor of the calling process, replace it by the path of the file. */
static void resolve_fd_path(const struct notification *notification, char path[PATH_MAX])
{
	int number = find_fd_number(notification->pid, path);
	char target[PATH_MAX], name[32];

	if (number < 0)
		return;
	snprintf(name, sizeof(name), "fd/%d", number);
	if (read_link(notification->pid, name, target) > 0 && target[0] == '/')
		memcpy(path, target, strlen(target) + 1);
}

int path_argument_read(const struct notification *notification, int directory_arg, int path_arg,
		       char path[PATH_MAX])
{
	int error = notification_read_string(notification, notification->arguments[path_arg], path,
					     PATH_MAX);

	if (error >= 0 && path[0] == '\0')
		error = -ENOENT;
	if (error >= 0 && path[0] != '/')
		error = make_absolute(notification, directory_arg, path);
	if (error < 0)
		return error;
	path_argument_normalize(path);
	resolve_fd_path(notification, path);
	return 0;
}
