/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An applet: one of the programs in this executable. Its file holds its code, its options and its
 * help; its row in the table of main.c is all that needs to be added elsewhere.
 */
#pragma once

#include <stdbool.h>

struct applet {
	const char *name;
	const char *const
		*aliases; /* more names, NULL-terminated, or NULL: alone or with ".TYPE" */
	int (*run)(int argc, char **argv); /* returns the exit code */
	bool mounts;         /* may keep CAP_SYS_ADMIN where it was installed with privileges */
	const char *summary; /* one line, for lists */
	const char *help;    /* what --help prints */
};

extern const struct applet applet_fuservicemount3;
extern const struct applet applet_fsvc_open;
extern const struct applet applet_fsvc_listen;
extern const struct applet applet_fsvc_umount;
extern const struct applet applet_fusermount3, applet_fusermount;
extern const struct applet applet_mount_fuse3;
