/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The helper's command line, handed to the server as a memfd: "ARGS", a count, a table of positions
 * and lengths, the strings. Integers are big-endian, a length counts its NUL.
 */
#pragma once

/*
 * Writes ARGC arguments into a new memfd, sealed so that neither side can change it later.
 * Returns the descriptor, close-on-exec, which the caller owns, or a negative errno.
 */
int argv_memfd_create(int argc, const char *const *argv);

/*
 * Reads such a file, which may lie in everything: a count beyond the file, positions outside it,
 * strings without an end. FD is left open.
 * *ARGVP: a NULL-terminated vector in one piece of memory; the caller frees it with free(3).
 * Returns the number of arguments, at least 1, or a negative errno: -EBADMSG where the file lies,
 * -E2BIG where it is larger than a command line can be.
 */
int argv_memfd_read(int fd, char ***argvp);
