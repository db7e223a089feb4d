/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Execution of a FUSE server without a service, like libfuse's mount.fuse3: outside the sandbox,
 * with the caller's rights. libfuse passes a quoted command line to /bin/sh; here no shell is used,
 * but the server's environment is the same.
 */
#pragma once

#include <stdbool.h>

struct exec_server {
	const char *type;   /* the program, searched for in PATH */
	const char *source; /* or NULL */
	const char *mountpoint;
	const char *options;  /* comma-separated options for the server, or NULL */
	const char *user;     /* run as this user; NULL: the caller */
	bool drop_privileges; /* mount first, then execute the server without privileges */
};

/*
 * Execute the server. This function returns only on failure, after printing a message. Return an
 * exit status (enum mount_exit_status).
 */
int exec_server(const struct exec_server *server);
