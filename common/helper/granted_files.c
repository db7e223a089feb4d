/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper/granted_files.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/diag.h"
#include "config.h"

#include <ctype.h>
#include <string.h>
#include <sys/stat.h>

void granted_files_free(struct granted_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		free(files->entries[i].path);
	free(files->entries);
	*files = (struct granted_files){ 0 };
}

/* gcc's analyzer reports a leak of a pointer that is stored at an unknown index. */
#ifndef __clang__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif
static int add_file(struct granted_files *files, const char *path, bool may_write)
{
	struct granted_file *entries = array_grow(files->entries, files->count, sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	files->entries = entries;
	entries[files->count] = (struct granted_file){ strdup(path), may_write };
	return entries[files->count++].path ? 0 : -ENOMEM;
}
#ifndef __clang__
#pragma GCC diagnostic pop
#endif

/* Cut the comment and the spaces around the text in LINE. */
static char *trim_line(char *line)
{
	char *text = line + strspn(line, " \t");
	size_t length = strcspn(text, "#\n");

	while (length > 0 && isspace((unsigned char)text[length - 1]))
		length--;
	text[length] = '\0';
	return text;
}

int granted_files_read(struct granted_files *files, FILE *file, const char *name)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	for (int number = 1; getline(&line, &size, file) >= 0; number++) {
		char *access = trim_line(line), *path = access + strcspn(access, " \t");
		bool may_write;
		int error;

		if (!*access)
			continue;
		if (*path)
			*path++ = '\0';
		path += strspn(path, " \t");
		may_write = strcmp(access, "write") == 0;
		if ((!may_write && strcmp(access, "read") != 0) || *path != '/') {
			diag_warning("%s:%d: invalid line ignored: %s %s", name, number, access,
				     path);
			continue;
		}
		error = add_file(files, path, may_write);
		if (error < 0)
			return error;
	}
	return 0;
}

int granted_files_load(struct granted_files *files, const char *subtype)
{
	_cleanup_free_ char *name = NULL;
	_cleanup_file_ FILE *file = NULL;
	struct stat status;

	if (asprintf(&name, "%s/%s.conf", POLICY_DIR, subtype) < 0)
		return -ENOMEM;
	file = fopen(name, "re");
	if (!file) {
		if (errno != ENOENT)
			diag_warning("%s: %s", name, strerror(errno));
		return 0;
	}
	if (fstat(fileno(file), &status) < 0 || !S_ISREG(status.st_mode) || status.st_uid != 0 ||
	    (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		diag_warning("%s: ignored: users other than root can write to it", name);
		return 0;
	}
	return granted_files_read(files, file, name);
}

bool granted_files_contain(const struct granted_files *files, const char *path, bool write)
{
	for (size_t i = 0; i < files->count; i++)
		if (strcmp(files->entries[i].path, path) == 0 &&
		    (files->entries[i].may_write || !write))
			return true;
	return false;
}
