/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A FUSE server without a service: started as libfuse's mount.fuse3 starts it, with its rights and
 * on its own. libfuse hands a quoted line to /bin/sh, which only finds the program and sets PWD;
 * here no shell reads anything, and the server sees the same.
 */
#pragma once

#include <stdbool.h>

struct exec_server {
	const char *type;   /* the program's name, looked for in PATH */
	const char *source; /* or NULL */
	const char *mountpoint;
	const char *options;  /* for the server, comma-separated, or NULL */
	const char *user;     /* the user to become, or NULL */
	bool drop_privileges; /* mount first, and start it with no privilege at all */
};

/* Exit codes, as mount(8) has them. */
enum { START_USAGE = 1, START_SYSTEM = 2, START_FAILED = 32 };

/* Executes the server. Returns, after a message, only where that fails: the exit code. */
int exec_server(const struct exec_server *start);
