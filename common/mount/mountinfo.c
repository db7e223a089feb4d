/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mount/mountinfo.h"

#include "base/cleanup.h"
#include "base/new_mount_api.h"
#include "base/options.h"

#include <stdlib.h>
#include <string.h>

/* The maximum length of the strings of one mount: paths and options have at most a page each. */
#define MAX_STRINGS_SIZE ((size_t)4 * 4096)

/* Above this limit, count the FUSE mounts in the mount table. */
#define MAX_LISTED_MOUNTS 100000

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

char *mountinfo_unescape(char *text)
{
	char *out = text;

	if (!text)
		return NULL;
	for (const char *from = text; *from; out++) {
		if (from[0] == '\\' && is_octal(from[1]) && is_octal(from[2]) &&
		    is_octal(from[3])) {
			*out = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 |
				      (from[3] - '0'));
			from += 4;
		} else {
			*out = *from++;
		}
	}
	*out = '\0';
	return text;
}

int mountinfo_next(FILE *table, struct mountinfo *mount)
{
	size_t size = 0;
	char *rest, *fields;

	mountinfo_free(mount);
	errno = 0;
	if (getline(&mount->line, &size, table) < 0)
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
	mount->target = mountinfo_unescape(strsep(&fields, " "));
	rest += strlen(" - ");
	rest[strcspn(rest, "\n")] = '\0';
	mount->type = strsep(&rest, " ");
	mount->source = mountinfo_unescape(strsep(&rest, " "));
	mount->options = rest;
	return mount->target && mount->source && mount->options ? 1 : -EIO;
}

/* Use statmount(2). Return 0, or -1 if the kernel does not support it. */
static int query_statmount(int fd, struct mountinfo *mount)
{
	const size_t size = sizeof(struct new_mount_api_status) + MAX_STRINGS_SIZE;
	struct new_mount_api_status *status = calloc(1, size);

	mountinfo_free(mount);
	mount->line = (char *)status;
	if (!status || new_mount_api_status(fd, status, size) < 0 ||
	    (status->mask & NEW_MOUNT_API_STATUS_WANTED) != NEW_MOUNT_API_STATUS_WANTED)
		return -1;
	mount->id = (int)status->id;
	mount->parent = (int)status->parent_id;
	mount->major = status->major;
	mount->minor = status->minor;
	mount->target = status->texts + status->target;
	mount->type = status->texts + status->type;
	mount->options = status->texts + status->options;
	return 0;
}

int mountinfo_find_by_fd(int fd, struct mountinfo *mount)
{
	_cleanup_file_ FILE *table = NULL;
	int id, more;

	if (query_statmount(fd, mount) == 0)
		return 0;
	id = mountinfo_get_id(fd);
	if (id < 0)
		return id;
	table = mountinfo_open();
	more = table ? 0 : -errno;
	while (table && (more = mountinfo_next(table, mount)) > 0)
		if (mount->id == id)
			return 0;
	return more < 0 ? more : -EINVAL;
}

bool mountinfo_is_fuse(const struct mountinfo *mount)
{
	const char *type = mount->type;
	size_t length = strcspn(type, ".");

	return (length == strlen("fuse") && strncmp(type, "fuse", length) == 0) ||
	       (length == strlen("fuseblk") && strncmp(type, "fuseblk", length) == 0);
}

bool mountinfo_belongs_to(const struct mountinfo *mount, uid_t user)
{
	char option[32];

	snprintf(option, sizeof(option), "user_id=%u", user);
	return mountinfo_is_fuse(mount) && options_contain(mount->options, option);
}

/* Return true if there are fewer than LIMIT mounts of any type. This is fast. */
static bool has_few_mounts(long limit)
{
	_cleanup_free_ uint64_t *ids = limit > 0 && limit <= MAX_LISTED_MOUNTS
					       ? calloc((size_t)limit, sizeof(*ids))
					       : NULL;
	long count = ids ? new_mount_api_list(ids, (size_t)limit) : -1;

	return count >= 0 && count < limit;
}

int mountinfo_reaches_fuse_limit(long limit)
{
	_cleanup_mountinfo_ struct mountinfo mount = { 0 };
	_cleanup_file_ FILE *table = NULL;
	long count = 0;
	int more;

	if (has_few_mounts(limit))
		return 0;
	table = mountinfo_open();
	more = table ? 1 : -errno;
	while (count < limit && table && (more = mountinfo_next(table, &mount)) > 0)
		count += mountinfo_is_fuse(&mount);
	return more < 0 ? more : count >= limit;
}

int mountinfo_get_id(int fd)
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
