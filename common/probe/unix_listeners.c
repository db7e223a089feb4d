/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/unix_listeners.h"

#include "base/array.h"
#include "base/cleanup.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* The flag of listening sockets in /proc/net/unix (__SO_ACCEPTCON in the kernel). */
#define LISTENING_FLAG 0x10000

/* The bit of the state of listening sockets in sock_diag(7) (TCP_LISTEN in the kernel). */
#define LISTENING_STATE (1 << 10)

/* The encoding of a device number inside the kernel. */
#define MINOR_BITS 20

#define ANSWER_SIZE 16384

static int load_paths(struct unix_listeners *listeners)
{
	_cleanup_file_ FILE *table = fopen("/proc/net/unix", "re");
	_cleanup_free_ char *line = NULL;
	unsigned int flags, kind;
	size_t size = 0;
	int path;

	if (!table)
		return -errno;
	/* Lines are ADDRESS: REFERENCES PROTOCOL FLAGS TYPE STATE INODE PATH. */
	while (getline(&line, &size, table) >= 0) {
		path = 0;
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%*s %*s %*s %x %x %*s %*s %n", &flags, &kind, &path) == 2 &&
		    path > 0 && (flags & LISTENING_FLAG) && kind == SOCK_SEQPACKET)
			strv_add(&listeners->paths, line + path);
	}
	return listeners->paths.failed ? -ENOMEM : 0;
}

static int send_request(int fd)
{
	const struct {
		struct nlmsghdr header;
		struct unix_diag_req body;
	} message = {
		.header = { .nlmsg_len = sizeof(message),
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.body = { .sdiag_family = AF_UNIX,
			  .udiag_states = LISTENING_STATE,
			  .udiag_show = UDIAG_SHOW_VFS },
	};

	return send(fd, &message, sizeof(message), 0) < 0 ? -errno : 0;
}

/* Add the file of one socket. */
static int add_file(struct unix_listeners *listeners, const struct nlmsghdr *header)
{
	const struct unix_diag_msg *found = NLMSG_DATA(header);
	size_t left = header->nlmsg_len - NLMSG_LENGTH(sizeof(*found));
	struct unix_listeners_file *files;
	struct unix_diag_vfs vfs;

	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*found)) || found->udiag_type != SOCK_SEQPACKET)
		return 0;
	for (const struct rtattr *part = (const struct rtattr *)(found + 1); RTA_OK(part, left);
	     part = RTA_NEXT(part, left)) {
		if (part->rta_type != UNIX_DIAG_VFS || RTA_PAYLOAD(part) < sizeof(vfs))
			continue;
		memcpy(&vfs, RTA_DATA(part), sizeof(vfs));
		files = array_grow(listeners->files, listeners->count, sizeof(*files));
		if (!files)
			return -ENOMEM;
		listeners->files = files;
		files[listeners->count++] =
			(struct unix_listeners_file){ .device = vfs.udiag_vfs_dev,
						      .inode = vfs.udiag_vfs_ino };
	}
	return 0;
}

static int load_files(struct unix_listeners *listeners)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	_cleanup_free_ char *answer = malloc(ANSWER_SIZE);
	int error = fd < 0 ? -errno : answer ? send_request(fd) : -ENOMEM;

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
								  : add_file(listeners, header);
		}
	}
	return error;
}

int unix_listeners_load(struct unix_listeners *listeners)
{
	int error;

	*listeners = (struct unix_listeners){ 0 };
	error = load_files(listeners);
	/* The kernel may have been built without unix_diag. */
	return error == 0 || error == -ENOMEM ? error : load_paths(listeners);
}

bool unix_listeners_include(const struct unix_listeners *listeners, const char *path)
{
	struct stat status;

	if (strv_contains(&listeners->paths, path))
		return true;
	if (stat(path, &status) < 0)
		return false;
	for (size_t i = 0; i < listeners->count; i++) {
		const struct unix_listeners_file *file = &listeners->files[i];

		/* The kernel reports only the lower 32 bits of an inode number. */
		if (file->inode == (uint32_t)status.st_ino &&
		    makedev(file->device >> MINOR_BITS, file->device & ((1 << MINOR_BITS) - 1)) ==
			    status.st_dev)
			return true;
	}
	return false;
}

void unix_listeners_free(struct unix_listeners *listeners)
{
	strv_free(&listeners->paths);
	free(listeners->files);
	*listeners = (struct unix_listeners){ 0 };
}
