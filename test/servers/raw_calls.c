// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * raw_calls SOURCE MOUNTPOINT: a static program that makes each system call that takes a path on
 * SOURCE, and prints the name and the errno of each.
 */
#include "newcalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void print_result(const char *name, long result)
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
	print_result("open", syscall(SYS_open, source, O_RDONLY));
	print_result("stat", syscall(SYS_stat, source, &status));
	print_result("lstat", syscall(SYS_lstat, source, &status));
	print_result("access", syscall(SYS_access, source, R_OK));
	print_result("readlink", syscall(SYS_readlink, source, target, sizeof(target)));
#endif
	print_result("openat", syscall(SYS_openat, AT_FDCWD, source, O_RDONLY));
	print_result("openat2", syscall(SYS_openat2, AT_FDCWD, source, &how, sizeof(how)));
	print_result("newfstatat", syscall(SYS_newfstatat, AT_FDCWD, source, &status, 0));
	print_result("statx", syscall(SYS_statx, AT_FDCWD, source, 0, STATX_SIZE, &extended));
	print_result("faccessat", syscall(SYS_faccessat, AT_FDCWD, source, R_OK));
	print_result("faccessat2", syscall(SYS_faccessat2, AT_FDCWD, source, R_OK, 0));
	print_result("readlinkat",
		     syscall(SYS_readlinkat, AT_FDCWD, source, target, sizeof(target)));
	print_result("a size", status.st_size == (off_t)extended.stx_size ? 0 : -1);
	return 1;
}
