// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * raw_calls SOURCE MOUNTPOINT: a static program that asks for its source by each system call that
 * there is, and prints how each ended: a name and an errno.
 */
#include "newcalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void tell(const char *name, long result)
{
	printf("%s %d\n", name, result < 0 ? errno : 0);
}

int main(int argc, char **argv)
{
	struct open_how how = { .flags = O_RDONLY };
	const char *source = argv[1];
	struct statx extended;
	struct stat status;
	char target[16];

	if (argc < 3)
		return 2;
#ifdef SYS_open
	tell("open", syscall(SYS_open, source, O_RDONLY));
	tell("stat", syscall(SYS_stat, source, &status));
	tell("lstat", syscall(SYS_lstat, source, &status));
	tell("access", syscall(SYS_access, source, R_OK));
	tell("readlink", syscall(SYS_readlink, source, target, sizeof(target)));
#endif
	tell("openat", syscall(SYS_openat, AT_FDCWD, source, O_RDONLY));
	tell("openat2", syscall(SYS_openat2, AT_FDCWD, source, &how, sizeof(how)));
	tell("newfstatat", syscall(SYS_newfstatat, AT_FDCWD, source, &status, 0));
	tell("statx", syscall(SYS_statx, AT_FDCWD, source, 0, STATX_SIZE, &extended));
	tell("faccessat", syscall(SYS_faccessat, AT_FDCWD, source, R_OK));
	tell("faccessat2", syscall(SYS_faccessat2, AT_FDCWD, source, R_OK, 0));
	tell("readlinkat", syscall(SYS_readlinkat, AT_FDCWD, source, target, sizeof(target)));
	tell("a size", status.st_size == (off_t)extended.stx_size ? 0 : -1);
	return 1;
}
