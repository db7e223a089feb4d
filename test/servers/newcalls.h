/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers of system calls that older C libraries do not define. All architectures share them. */
#pragma once

#include <stdint.h>
/* glibc before 2.36 needs this before the headers of the kernel that define the same names. */
#include <sys/mount.h>
#include <sys/syscall.h>

#ifndef SYS_openat2
#define SYS_openat2 437 /* Linux 5.6 */
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438 /* Linux 5.6 */
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439 /* Linux 5.8 */
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442 /* Linux 5.12 */
struct mount_attr {
	uint64_t attr_set, attr_clr, propagation, userns_fd;
};
#endif
#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447 /* Linux 5.14 */
#endif
