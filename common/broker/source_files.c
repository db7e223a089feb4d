/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/source_files.h"

#include "base/cleanup.h"
#include "base/open_flags.h"
#include "base/path.h"
#include "protocol/wire.h"

#include <fcntl.h>
#include <string.h>

/* The name of a file whose path has none, for example "/". */
#define DEFAULT_NAME "source"

/* Flags of the server's open(2) that are passed to the helper. The others are about creating files
 * and about paths. */
#define FORWARDED_FLAGS                                                                            \
	((uint32_t)(OPEN_FLAGS_ACCESS | O_EXCL | O_SYNC | O_DSYNC | O_DIRECT | O_NOATIME |         \
		    O_APPEND | O_NONBLOCK))

int source_files_request(struct service *service, const char *path, int flags,
			 uint32_t request_flags)
{
	int fd, error;

	if (!service)
		return -ENOTCONN;
	error = service_request_file(service, path, (uint32_t)flags & FORWARDED_FLAGS, 0,
				     request_flags);
	if (error >= 0)
		error = service_receive_file(service, path, &fd);
	return error < 0 ? error : fd;
}

/* Add PATH under its file name in the directory of MOUNTPOINT. It is not opened yet. */
static int add_file(struct source_files *sources, const char *path, const char *mountpoint,
		    struct source_file **addedp)
{
	struct source_file *list = reallocarray(sources->list, sources->count + 1, sizeof(*list));
	int directory_length = (int)(path_basename(mountpoint) - mountpoint);
	const char *name = path_basename(path);
	struct source_file *added;

	if (!list)
		return -ENOMEM;
	sources->list = list;
	added = *addedp = &list[sources->count++];
	*added = (struct source_file){ .path = strdup(path), .fd = -1, .written_fd = -1 };
	if (*name == '\0' || strcmp(name, mountpoint + directory_length) == 0)
		name = DEFAULT_NAME;
	if (asprintf(&added->name, "%.*s%s", directory_length, mountpoint, name) < 0)
		added->name = NULL;
	return added->path && added->name ? 0 : -ENOMEM;
}

/* Open the source. If it cannot be opened for writing, for example on a read-only medium, set
 * *READ_ONLYP. */
static int fetch_source(struct source_file *source, struct service *service, bool *read_onlyp)
{
	if (!*read_onlyp) {
		/* Only a test; close it at once: the helper opens a device for writing only once.
		 */
		int fd = source_files_request(service, source->path, O_RDWR, WIRE_REQUEST_QUIET);

		*read_onlyp = fd == -EACCES || fd == -EPERM || fd == -EROFS;
		if (fd < 0 && !*read_onlyp)
			return fd;
		close_fd(fd);
	}
	source->fd = source_files_request(service, source->path, O_RDONLY, 0);
	return source->fd < 0 ? source->fd : 0;
}

int source_files_fetch(struct source_files *sources, struct service *service,
		       const struct mount_args *args, const char *mountpoint, bool *read_onlyp)
{
	const char *cursor = args->options.helper ? args->options.helper : "";
	struct source_file *source;
	int error = add_file(sources, args->source, mountpoint, &source);

	if (error == 0)
		error = fetch_source(source, service, read_onlyp);
	while (error == 0) {
		_cleanup_free_ char *path = NULL;
		int result = options_next_value(&cursor, OPTION_FILE, &path);

		if (result <= 0)
			return result;
		error = add_file(sources, path, mountpoint, &source);
		if (error < 0)
			return error;
		source->fd = source_files_request(service, path, O_RDONLY, 0);
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
	fd = source_files_request(service, source->path, flags, WIRE_REQUEST_QUIET);
	if (fd >= 0 && write && source->written_fd < 0)
		source->written_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0 || (fd != -ENOTCONN && fd != -EBUSY))
		return fd;
	/*
	 * The helper has exited, or this mount has already opened the device for writing: copy an
	 * earlier file descriptor.
	 */
	kept = write ? source->written_fd : source->fd;
	/* A file that is opened again starts at offset 0. Do not move the offset of a file that is
	 * being written. */
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
		close_fd(sources->list[i].written_fd);
		free(sources->list[i].path);
		free(sources->list[i].name);
	}
	free(sources->list);
	*sources = (struct source_files){ 0 };
}
