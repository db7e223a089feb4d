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

	/* What follows never writes ahead of what it reads, because the first character is a slash.
	 */
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

/* Reads a link below the caller's directory in /proc. Returns its length, or a negative errno. */
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

/* Puts what the call's path is relative to in front of it. */
static int make_absolute(const struct notification *notification, int directory_at,
			 char path[PATH_MAX])
{
	int directory = directory_at < 0 ? AT_FDCWD : (int)notification->arguments[directory_at];
	char base[PATH_MAX], name[32] = "cwd";
	size_t length = strlen(path);
	ssize_t before;

	if (directory != AT_FDCWD)
		snprintf(name, sizeof(name), "fd/%d", directory);
	before = read_link(notification->pid, name, base);
	if (before < 0)
		return (int)before;
	/* "pipe:[5]", "(unreachable)/x": nothing that a path can begin with. */
	if (base[0] != '/')
		return -ENOTDIR;
	if ((size_t)before + 1 + length >= PATH_MAX)
		return -ENAMETOOLONG;
	memmove(path + before + 1, path, length + 1);
	memcpy(path, base, (size_t)before);
	path[before] = '/';
	return 0;
}

/* The process that the thread PID belongs to, or -1. */
static int process_of(pid_t pid)
{
	_cleanup_file_ FILE *file = NULL;
	char path[64], line[256];
	int process = -1;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (file && process < 0 && fgets(line, sizeof(line), file))
		if (sscanf(line, "Tgid: %9d", &process) != 1)
			process = -1;
	return process;
}

/* Return the number that TEXT is, or -1. */
static int whole_number(const char *text)
{
	unsigned int number;

	return parse_number(text, INT_MAX, &number) < 0 ? -1 : (int)number;
}

/* The number of the caller's own descriptor that PATH names, or -1. */
static int named_descriptor(pid_t caller, const char *path)
{
	static const char *const places[] = { "/proc/self/fd/", "/proc/thread-self/fd/",
					      "/dev/fd/" };
	int process, at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (strncmp(path, places[i], strlen(places[i])) == 0)
			return whole_number(path + strlen(places[i]));
	/* Spelled with its pid, or as one thread among its own. */
	if (sscanf(path, "/proc/self/task/%9d/fd/%n", &process, &at) == 1 && at > 0)
		return whole_number(path + at);
	if (sscanf(path, "/proc/%9d/fd/%n", &process, &at) == 1 && at > 0 &&
	    process == process_of(caller))
		return whole_number(path + at);
	return -1;
}

/* Where PATH names a descriptor of the caller's own, puts the name of its file in its place. */
static void follow_descriptor(const struct notification *notification, char path[PATH_MAX])
{
	int number = named_descriptor(notification->pid, path);
	char target[PATH_MAX], name[32];

	if (number < 0)
		return;
	snprintf(name, sizeof(name), "fd/%d", number);
	if (read_link(notification->pid, name, target) > 0 && target[0] == '/')
		memcpy(path, target, strlen(target) + 1);
}

int path_argument_read(const struct notification *notification, int directory_at, int path_at,
		       char path[PATH_MAX])
{
	int error = notification_read_string(notification, notification->arguments[path_at], path,
					     PATH_MAX);

	if (error >= 0 && path[0] == '\0')
		error = -ENOENT;
	if (error >= 0 && path[0] != '/')
		error = make_absolute(notification, directory_at, path);
	if (error < 0)
		return error;
	path_argument_normalize(path);
	follow_descriptor(notification, path);
	return 0;
}
