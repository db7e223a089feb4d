/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An applet: one of the programs in this executable. Its file contains its code, options and help
 * text. To add an applet, add its file and its name to the list in meson.build.
 */
#pragma once

#include "config.h"

#include <stdbool.h>

struct applet {
	const char *name;
	const char *const
		*aliases; /* other names, alone or followed by ".TYPE"; NULL-terminated, or NULL */
	int (*run)(int argc, char **argv); /* returns the exit status */
	bool mounts;         /* may keep CAP_SYS_ADMIN if installed set-user-ID root */
	const char *summary; /* one line for the list of applets */
	const char *help;    /* printed by --help */
};

/* The applets selected at build time. */
#define APPLET(name) extern const struct applet applet_##name;
APPLETS(APPLET)
#undef APPLET
