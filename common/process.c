/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "process.h"

#include "cleanup.h"

#include <inttypes.h>
#include <string.h>

int process_identify(pid_t pid, struct process *process)
{
	_cleanup_file_ FILE *file = NULL;
	/* The program's name, of at most 64 bytes, and 21 numbers of at most 20 digits. */
	char path[32], text[1024], *rest;
	size_t length;

	*process = (struct process){ 0 };
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	length = fread(text, 1, sizeof(text) - 1, file);
	text[length] = '\0';
	/* The name may have spaces and parentheses in it; behind its last one there are none. */
	rest = strrchr(text, ')');
	if (!rest || sscanf(rest,
			    ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
			    "%*d %*d %" SCNu64,
			    &process->start) != 1)
		return -EIO;
	process->pid = pid;
	return 0;
}
