/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cleanup attributes: a variable that is declared with one releases its resource when it goes out
 * of scope. To hand a resource on, take it out of the variable with take_fd() or take_pointer().
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Close FD unless it is negative. Return -1, to be stored: fd = close_fd(fd). Do not change errno.
 */
static inline int close_fd(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}

/* Move the file descriptor out of *FDP, which becomes -1. The caller owns it. */
static inline int take_fd(int *fdp)
{
	int fd = *fdp;

	*fdp = -1;
	return fd;
}

/* Move the pointer out of VARIABLE, which becomes NULL. The caller owns it. */
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
