/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* System calls that older C libraries have no names for; their numbers are the same everywhere. */
#pragma once

#include <stdint.h>
/* To be included before what the kernel's headers call by the same names (glibc before 2.36). */
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
