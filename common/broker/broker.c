/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/broker.h"

#include "base/cleanup.h"
#include "base/new_mount_api.h"
#include "broker/emulated_syscalls.h"
#include "broker/path_argument.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/*
 * The directory of the mountpoint and of the source's path: in the sandbox, or else a temporary
 * one.
 */
#define SANDBOX_DIR     "/fsvc"
#define TEMPORARY_DIR   "/tmp/fsvc-XXXXXX"
#define MOUNTPOINT_NAME "mountpoint"

/*
 * Find or create the server's mountpoint, an empty directory. The source needs no file: the broker
 * answers all system calls with its path.
 */
static int prepare_mountpoint(struct broker *broker)
{
	char temporary[] = TEMPORARY_DIR;
	const char *directory = SANDBOX_DIR;

	broker->mountpoint_fd =
		open(SANDBOX_DIR "/" MOUNTPOINT_NAME, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (broker->mountpoint_fd < 0) {
		directory = mkdtemp(temporary);
		if (!directory)
			return -errno;
		broker->temporary_dir = strdup(directory);
		if (!broker->temporary_dir)
			return -ENOMEM;
	}
	if (asprintf(&broker->mountpoint, "%s/" MOUNTPOINT_NAME, directory) < 0)
		return -ENOMEM;
	if (broker->mountpoint_fd >= 0)
		return 0;
	if (mkdir(broker->mountpoint, 0755) < 0)
		return -errno;
	broker->mountpoint_fd = open(broker->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return broker->mountpoint_fd < 0 ? -errno : 0;
}

const char *broker_source(const struct broker *broker)
{
	return broker->is_remote ? broker->args->source : broker->sources.list[0].name;
}

int broker_prepare(struct broker *broker)
{
	int error = prepare_mountpoint(broker);

	if (error < 0)
		return error;
	broker->fusedev = fcntl(broker->service->fusedev, F_DUPFD_CLOEXEC, 0);
	if (broker->fusedev < 0)
		return -errno;
	if (broker->is_remote)
		return 0;
	return source_files_fetch(&broker->sources, broker->service, broker->args,
				  broker->mountpoint, &broker->is_read_only);
}

int broker_find_fd(const struct broker *broker, const char *path)
{
	const struct source_file *source = source_files_find(&broker->sources, path);

	if (source)
		return source->fd;
	if (strcmp(path, broker->mountpoint) == 0)
		return broker->mountpoint_fd;
	return strcmp(path, FUSE_DEVICE) == 0 ? broker->fusedev : -1;
}

int broker_answer(struct broker *broker)
{
	struct notification notification;
	const struct emulated_syscall *call;
	char path[PATH_MAX] = "";
	int error = notification_receive(broker->notify_fd, &notification);

	if (error < 0)
		return error == -ENOENT || error == -EINTR ? 0 : error;
	call = emulated_syscall_find(notification.number);
	if (call && (call->path_arg < 0 || path_argument_read(&notification, call->directory_arg,
							      call->path_arg, path) >= 0))
		call->answer(broker, &notification, path, notification.arguments[call->detail_arg]);
	else
		notification_continue(&notification);
	return 0;
}

void broker_free(struct broker *broker)
{
	close_fd(broker->notify_fd);
	close_fd(broker->mountpoint_fd);
	close_fd(broker->fusedev);
	if (broker->temporary_dir) {
		rmdir(broker->mountpoint);
		rmdir(broker->temporary_dir);
	}
	free(broker->temporary_dir);
	source_files_free(&broker->sources);
	free(broker->mountpoint);
	*broker = BROKER_NONE;
}
