/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memfd in which the helper sends its command line to the service. It contains "ARGS", the
 * number of arguments, a table of positions and lengths, and the strings. Integers are big-endian;
 * a length includes the NUL.
 */
#pragma once

/*
 * Write ARGC arguments to a new memfd, and seal it so that neither side can change it. Return the
 * file descriptor, close-on-exec, owned by the caller; or a negative errno.
 */
int argv_memfd_create(int argc, const char *const *argv);

/*
 * Read the arguments from FD, which stays open. The file may be malformed: too large a count,
 * positions after the end, strings without a NUL. Store a NULL-terminated vector in *ARGVP: one
 * allocation, which the caller frees with free(3). Return the number of arguments, at least 1;
 * -EBADMSG if the file is malformed; -E2BIG if it is larger than any command line; or another
 * negative errno.
 */
int argv_memfd_read(int fd, char ***argvp);
