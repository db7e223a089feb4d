/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listening.h"

#include "cleanup.h"
#include "grow.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* In the flags of /proc/net/unix: it listens (__SO_ACCEPTCON of the kernel). */
#define LISTENS 0x10000

/* The state of sock_diag(7) that listeners are in (TCP_LISTEN of the kernel), a bit. */
#define LISTEN_STATE (1 << 10)

/* The kernel's own form of a device's number. */
#define MINOR_BITS 20

#define ANSWER_SIZE 16384

static int load_paths(struct listening *listening)
{
	_cleanup_file_ FILE *table = fopen("/proc/net/unix", "re");
	_cleanup_free_ char *line = NULL;
	unsigned int flags, kind;
	size_t room = 0;
	int path;

	if (!table)
		return -errno;
	/* ADDRESS: REFERENCES PROTOCOL FLAGS TYPE STATE INODE PATH */
	while (getline(&line, &room, table) >= 0) {
		path = 0;
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%*s %*s %*s %x %x %*s %*s %n", &flags, &kind, &path) == 2 &&
		    path > 0 && (flags & LISTENS) && kind == SOCK_SEQPACKET)
			words_add(&listening->paths, line + path);
	}
	return listening->paths.failed ? -ENOMEM : 0;
}

static int request(int fd)
{
	const struct {
		struct nlmsghdr header;
		struct unix_diag_req body;
	} message = {
		.header = { .nlmsg_len = sizeof(message),
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.body = { .sdiag_family = AF_UNIX,
			  .udiag_states = LISTEN_STATE,
			  .udiag_show = UDIAG_SHOW_VFS },
	};

	return send(fd, &message, sizeof(message), 0) < 0 ? -errno : 0;
}

/* Takes the file of one socket. */
static int add(struct listening *listening, const struct nlmsghdr *header)
{
	const struct unix_diag_msg *found = NLMSG_DATA(header);
	size_t left = header->nlmsg_len - NLMSG_LENGTH(sizeof(*found));
	struct listening_file *files;
	struct unix_diag_vfs vfs;

	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*found)) || found->udiag_type != SOCK_SEQPACKET)
		return 0;
	for (const struct rtattr *part = (const struct rtattr *)(found + 1); RTA_OK(part, left);
	     part = RTA_NEXT(part, left)) {
		if (part->rta_type != UNIX_DIAG_VFS || RTA_PAYLOAD(part) < sizeof(vfs))
			continue;
		memcpy(&vfs, RTA_DATA(part), sizeof(vfs));
		files = grow(listening->files, listening->count, sizeof(*files));
		if (!files)
			return -ENOMEM;
		listening->files = files;
		files[listening->count++] = (struct listening_file){ .device = vfs.udiag_vfs_dev,
								     .inode = vfs.udiag_vfs_ino };
	}
	return 0;
}

static int load_files(struct listening *listening)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	_cleanup_free_ char *answer = malloc(ANSWER_SIZE);
	int error = fd < 0 ? -errno : answer ? request(fd) : -ENOMEM;

	while (error == 0) {
		ssize_t size = recv(fd, answer, ANSWER_SIZE, 0);
		size_t left = size < 0 ? 0 : (size_t)size;

		if (size <= 0)
			return size < 0 ? -errno : -EOPNOTSUPP;
		for (const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
		     error == 0 && NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
			if (header->nlmsg_type == NLMSG_DONE)
				return 0;
			error = header->nlmsg_type == NLMSG_ERROR ? -EOPNOTSUPP
								  : add(listening, header);
		}
	}
	return error;
}

int listening_load(struct listening *listening)
{
	int error;

	*listening = (struct listening){ 0 };
	error = load_files(listening);
	/* A small kernel may be without it. */
	return error == 0 || error == -ENOMEM ? error : load_paths(listening);
}

bool listening_at(const struct listening *listening, const char *path)
{
	struct stat status;

	if (words_have(&listening->paths, path))
		return true;
	if (stat(path, &status) < 0)
		return false;
	for (size_t i = 0; i < listening->count; i++) {
		const struct listening_file *file = &listening->files[i];

		/* The kernel gives the lower half of an inode's number. */
		if (file->inode == (uint32_t)status.st_ino &&
		    makedev(file->device >> MINOR_BITS, file->device & ((1 << MINOR_BITS) - 1)) ==
			    status.st_dev)
			return true;
	}
	return false;
}

void listening_free(struct listening *listening)
{
	words_free(&listening->paths);
	free(listening->files);
	*listening = (struct listening){ 0 };
}
