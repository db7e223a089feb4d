/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "protocol/argv_memfd.h"

#include "base/cleanup.h"

#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MAGIC 0x41524753 /* "ARGS" */

/* execve(2) accepts at most 6 MiB (Linux 4.13: three quarters of _STK_LIM). */
#define MAX_FILE_SIZE (8 << 20)

struct header {
	uint32_t magic, count;
};

struct entry {
	uint32_t position, length;
};

static int write_all(int fd, const void *buffer, size_t size)
{
	const char *next = buffer;

	while (size > 0) {
		ssize_t written = write(fd, next, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		next += written;
		size -= (size_t)written;
	}
	return 0;
}

int argv_memfd_create(int argc, const char *const *argv)
{
	size_t table = sizeof(struct header) + (size_t)argc * sizeof(struct entry), size = table;
	_cleanup_free_ char *content = NULL;
	_cleanup_close_ int fd = -1;
	struct header header = { .magic = htobe32(MAGIC), .count = htobe32((uint32_t)argc) };
	int error;

	for (int i = 0; i < argc; i++)
		size += strlen(argv[i]) + 1;
	if (size > MAX_FILE_SIZE)
		return -E2BIG;
	content = malloc(size);
	if (!content)
		return -ENOMEM;
	memcpy(content, &header, sizeof(header));
	for (int i = 0, at = (int)table; i < argc; i++) {
		uint32_t length = (uint32_t)strlen(argv[i]) + 1;
		struct entry entry = { htobe32((uint32_t)at), htobe32(length) };

		memcpy(content + sizeof(header) + (size_t)i * sizeof(entry), &entry, sizeof(entry));
		memcpy(content + at, argv[i], length);
		at += (int)length;
	}

	fd = memfd_create("fuse service arguments", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	error = write_all(fd, content, size);
	if (error < 0)
		return error;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	return take_fd(&fd);
}

/* Copy the whole file: if it were mapped, truncating it would kill the reader with SIGBUS. */
static int read_all(int fd, char **contentp, size_t *sizep)
{
	_cleanup_free_ char *content = NULL;
	struct stat status;
	size_t used = 0, size;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || status.st_size < (off_t)sizeof(struct header))
		return -EBADMSG;
	if (status.st_size > MAX_FILE_SIZE)
		return -E2BIG;
	size = (size_t)status.st_size;
	content = malloc(size);
	if (!content)
		return -ENOMEM;
	while (used < size) {
		ssize_t got = pread(fd, content + used, size - used, (off_t)used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -EBADMSG;
		used += (size_t)got;
	}
	*contentp = take_pointer(content);
	*sizep = size;
	return 0;
}

int argv_memfd_read(int fd, char ***argvp)
{
	_cleanup_free_ char *content = NULL;
	_cleanup_free_ char **argv = NULL;
	struct header header;
	size_t size = 0, count, vector;
	char *strings;
	int error = read_all(fd, &content, &size);

	if (error < 0 || !content)
		return error;
	memcpy(&header, content, sizeof(header));
	count = be32toh(header.count);
	/*
	 * Entries may overlap, but their number is limited by the size of the file, and so is the
	 * memory.
	 */
	if (be32toh(header.magic) != MAGIC || count == 0 ||
	    count > (size - sizeof(header)) / sizeof(struct entry))
		return -EBADMSG;

	vector = (count + 1) * sizeof(char *);
	argv = malloc(vector + size);
	if (!argv)
		return -ENOMEM;
	strings = memcpy((char *)argv + vector, content, size);
	for (size_t i = 0; i < count; i++) {
		struct entry entry;
		size_t at, length;

		memcpy(&entry, content + sizeof(header) + i * sizeof(entry), sizeof(entry));
		at = be32toh(entry.position);
		length = be32toh(entry.length);
		if (at > size || length == 0 || length > size - at ||
		    memchr(strings + at, '\0', length) != strings + at + length - 1)
			return -EBADMSG;
		argv[i] = strings + at;
	}
	argv[count] = NULL;
	*argvp = take_pointer(argv);
	return (int)count;
}
