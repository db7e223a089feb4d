/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a variable owns is released when it goes out of scope, so that a function that can fail in
 * ten places has one clear path. A value that is handed on is taken out of its variable first.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Closes FD unless it is negative and gives -1 back, errno untouched: fd = close_fd(fd). */
static inline int close_fd(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}

/* Takes the descriptor out of *FDP: the caller owns it from here on. */
static inline int take_fd(int *fdp)
{
	int fd = *fdp;

	*fdp = -1;
	return fd;
}

/* Takes the pointer out of the variable: the caller owns it from here on. */
#define take_pointer(variable)                                                                     \
	({                                                                                         \
		__typeof__(variable) taken_ = (variable);                                          \
		(variable) = NULL;                                                                 \
		taken_;                                                                            \
	})

static inline void cleanup_fd(const int *fdp)
{
	close_fd(*fdp);
}

static inline void cleanup_pointer(void *pointer)
{
	free(*(void **)pointer);
}

static inline void cleanup_file(FILE **filep)
{
	if (*filep)
		fclose(*filep);
}

static inline void cleanup_directory(DIR **directoryp)
{
	if (*directoryp)
		closedir(*directoryp);
}

#define _cleanup_directory_ __attribute__((cleanup(cleanup_directory)))
#define _cleanup_file_      __attribute__((cleanup(cleanup_file)))
#define _cleanup_close_     __attribute__((cleanup(cleanup_fd)))
#define _cleanup_free_      __attribute__((cleanup(cleanup_pointer)))
