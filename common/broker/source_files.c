/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/source_files.h"

#include "base/cleanup.h"
#include "base/open_flags.h"
#include "base/path.h"
#include "protocol/wire.h"

#include <fcntl.h>
#include <string.h>

/* The last name of a file that has none. */
#define NAMELESS "source"

/* What of a server's open(2) the helper is told; the rest is about names and creating. */
#define PASSED_FLAGS                                                                               \
	((uint32_t)(OPEN_FLAGS_ACCESS | O_EXCL | O_SYNC | O_DSYNC | O_DIRECT | O_NOATIME |         \
		    O_APPEND | O_NONBLOCK))

int source_files_ask(struct service *service, const char *path, int flags, uint32_t request_flags)
{
	int fd, error;

	if (!service)
		return -ENOTCONN;
	error = service_request_file(service, path, (uint32_t)flags & PASSED_FLAGS, 0,
				     request_flags);
	if (error >= 0)
		error = service_receive_file(service, path, &fd);
	return error < 0 ? error : fd;
}

/* A new one for PATH, which is asked for later, known as its last name beside MOUNTPOINT. */
static int add(struct source_files *sources, const char *path, const char *mountpoint,
	       struct source_file **addedp)
{
	struct source_file *list = reallocarray(sources->list, sources->count + 1, sizeof(*list));
	int place = (int)(strrchr(mountpoint, '/') + 1 - mountpoint);
	const char *last = path_basename(path);
	struct source_file *added;

	if (!list)
		return -ENOMEM;
	sources->list = list;
	added = *addedp = &list[sources->count++];
	*added = (struct source_file){ .path = strdup(path), .fd = -1, .written = -1 };
	if (*last == '\0' || strcmp(last, mountpoint + place) == 0)
		last = NAMELESS;
	if (asprintf(&added->name, "%.*s%s", place, mountpoint, last) < 0)
		added->name = NULL;
	return added->path && added->name ? 0 : -ENOMEM;
}

/* Whether it can be written, besides: a person with a read-only medium wants it mounted so. */
static int fetch_first(struct source_file *source, struct service *service, bool *read_only)
{
	if (!*read_only) {
		/* Given back at once: a device that is written is opened once only. */
		int fd = source_files_ask(service, source->path, O_RDWR, WIRE_REQUEST_QUIET);

		*read_only = fd == -EACCES || fd == -EPERM || fd == -EROFS;
		if (fd < 0 && !*read_only)
			return fd;
		close_fd(fd);
	}
	source->fd = source_files_ask(service, source->path, O_RDONLY, 0);
	return source->fd < 0 ? source->fd : 0;
}

int source_files_fetch(struct source_files *sources, struct service *service,
		       const struct mount_args *args, const char *mountpoint, bool *read_only)
{
	const char *cursor = args->options.helper ? args->options.helper : "";
	struct source_file *source;
	int error = add(sources, args->source, mountpoint, &source);

	if (error == 0)
		error = fetch_first(source, service, read_only);
	while (error == 0) {
		_cleanup_free_ char *path = NULL;
		int more = options_next_value(&cursor, OPTION_FILE, &path);

		if (more <= 0)
			return more;
		error = add(sources, path, mountpoint, &source);
		if (error < 0)
			return error;
		source->fd = source_files_ask(service, path, O_RDONLY, 0);
		if (source->fd < 0)
			error = source->fd;
	}
	return error;
}

int source_file_open(struct source_file *source, struct service *service, int flags)
{
	bool write = open_flags_write(flags);
	int fd, kept;

	if (flags & O_TRUNC)
		return -EPERM;
	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	fd = source_files_ask(service, source->path, flags, WIRE_REQUEST_QUIET);
	if (fd >= 0 && write && source->written < 0)
		source->written = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0 || (fd != -ENOTCONN && fd != -EBUSY))
		return fd;
	/* With the helper gone, or a device that is this mount's already, what there is. */
	kept = write ? source->written : source->fd;
	/* Who has closed it and opens it again begins at its beginning; the one written to is in
	 * use. */
	if (kept >= 0 && !write)
		(void)lseek(kept, 0, SEEK_SET);
	return kept < 0 ? fd : fcntl(kept, F_DUPFD_CLOEXEC, 0);
}

struct source_file *source_files_find(const struct source_files *sources, const char *name)
{
	for (size_t i = 0; i < sources->count; i++)
		if (sources->list[i].name && strcmp(sources->list[i].name, name) == 0)
			return &sources->list[i];
	return NULL;
}

void source_files_free(struct source_files *sources)
{
	for (size_t i = 0; i < sources->count; i++) {
		close_fd(sources->list[i].fd);
		close_fd(sources->list[i].written);
		free(sources->list[i].path);
		free(sources->list[i].name);
	}
	free(sources->list);
	*sources = (struct source_files){ 0 };
}
