/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mountinfo.h"

#include "cleanup.h"
#include "options.h"

#include <string.h>

FILE *mountinfo_open(void)
{
	return fopen("/proc/self/mountinfo", "re");
}

void mountinfo_free(struct mountinfo *mount)
{
	free(mount->line);
	*mount = (struct mountinfo){ 0 };
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* The kernel writes blanks, newlines, '#' and backslashes as \NNN. */
static char *unescape(char *text)
{
	char *to = text;

	if (!text)
		return NULL;
	for (const char *from = text; *from; to++) {
		if (from[0] == '\\' && is_octal(from[1]) && is_octal(from[2]) &&
		    is_octal(from[3])) {
			*to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
	return text;
}

int mountinfo_next(FILE *table, struct mountinfo *mount)
{
	size_t room = 0;
	char *rest, *fields;

	mountinfo_free(mount);
	errno = 0;
	if (getline(&mount->line, &room, table) < 0)
		return -errno;
	/* ID PARENT MAJOR:MINOR ROOT TARGET FLAGS [TAGS...] - TYPE SOURCE OPTIONS */
	rest = strstr(mount->line, " - ");
	if (!rest || sscanf(mount->line, "%d %d %u:%u", &mount->id, &mount->parent, &mount->major,
			    &mount->minor) != 4)
		return -EIO;
	*rest = '\0';
	fields = mount->line;
	for (int i = 0; i < 4; i++)
		strsep(&fields, " ");
	mount->target = unescape(strsep(&fields, " "));
	rest += strlen(" - ");
	rest[strcspn(rest, "\n")] = '\0';
	mount->type = strsep(&rest, " ");
	mount->source = unescape(strsep(&rest, " "));
	mount->options = rest;
	return mount->target && mount->source && mount->options ? 1 : -EIO;
}

bool mountinfo_is_fuse(const struct mountinfo *mount)
{
	const char *type = mount->type;
	size_t length = strcspn(type, ".");

	return (length == strlen("fuse") && strncmp(type, "fuse", length) == 0) ||
	       (length == strlen("fuseblk") && strncmp(type, "fuseblk", length) == 0);
}

bool mountinfo_is_of(const struct mountinfo *mount, uid_t user)
{
	char option[32];

	snprintf(option, sizeof(option), "user_id=%u", user);
	return mountinfo_is_fuse(mount) && options_have(mount->options, option);
}

int mountinfo_id(int fd)
{
	_cleanup_file_ FILE *file = NULL;
	char path[40], line[128];
	int id;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "mnt_id: %d", &id) == 1)
			return id;
	return -ENOENT;
}
