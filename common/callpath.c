/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "callpath.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void callpath_normalize(char *path)
{
	char *out = path;

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
	if ((size_t)before + 1 + length >= PATH_MAX)
		return -ENAMETOOLONG;
	memmove(path + before + 1, path, length + 1);
	memcpy(path, base, (size_t)before);
	path[before] = '/';
	return 0;
}

/* The number of the caller's own descriptor that PATH names, or -1. */
static int named_descriptor(const char *path)
{
	static const char *const places[] = { "/proc/self/fd/", "/proc/thread-self/fd/",
					      "/dev/fd/" };
	char *end;
	long number;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		size_t length = strlen(places[i]);

		if (strncmp(path, places[i], length) != 0 || path[length] < '0' ||
		    path[length] > '9')
			continue;
		number = strtol(path + length, &end, 10);
		return *end == '\0' && number <= INT_MAX ? (int)number : -1;
	}
	return -1;
}

/* Where PATH names a descriptor of the caller's own, puts the name of its file in its place. */
static void follow_descriptor(const struct notification *notification, char path[PATH_MAX])
{
	int number = named_descriptor(path);
	char target[PATH_MAX], name[32];

	if (number < 0)
		return;
	snprintf(name, sizeof(name), "fd/%d", number);
	if (read_link(notification->pid, name, target) > 0 && target[0] == '/')
		memcpy(path, target, strlen(target) + 1);
}

int callpath_read(const struct notification *notification, int directory_at, int path_at,
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
	callpath_normalize(path);
	follow_descriptor(notification, path);
	return 0;
}
