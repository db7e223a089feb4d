/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An applet: one of the programs in this executable. Its file holds its code, its options and its
 * help; its name in the list of meson.build is all that needs to be added elsewhere.
 */
#pragma once

#include "config.h"

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

/* Those that the build was told to put in. */
#define APPLET(name) extern const struct applet applet_##name;
APPLETS(APPLET)
#undef APPLET
