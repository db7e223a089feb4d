/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Exit statuses of the mount programs. The tests compare them with the manual pages.
 */
#pragma once

/* fuservicemount3(8) */
enum helper_exit_status {
	HELPER_EXIT_MOUNTED = 0,
	HELPER_EXIT_FAILED = 1,     /* nothing is mounted */
	HELPER_EXIT_NO_SERVICE = 2, /* no service for the type; nothing was tried */
};

/* mount.fuse3(8) and fsvc-umount(8): the exit statuses of mount(8) and umount(8). */
enum mount_exit_status {
	MOUNT_EXIT_SUCCESS = 0,
	MOUNT_EXIT_USAGE = 1,        /* incorrect invocation or permissions */
	MOUNT_EXIT_SYSTEM = 2,       /* out of memory, cannot fork, ... */
	MOUNT_EXIT_INTERRUPTED = 8,  /* fsvc-umount: unmounted, the server still writes */
	MOUNT_EXIT_FAILED = 32,      /* mount or unmount failure */
	MOUNT_EXIT_SOME_FAILED = 64, /* fsvc-umount: some of several targets failed */
};
