/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages to the person: one line on stderr each, "PROGRAM: text".
 *
 * Much of what a message quotes was written by an attacker: a path that a service asked for, a name
 * in an image. Whatever could move the cursor, change colours or reorder text is shown as \xNN,
 * here and nowhere else, so that no caller can forget it.
 */
#pragma once

#include <stddef.h>

/* Sets the name before each message; NAME is kept, not copied. For main. */
void diag_set_program(const char *name);

/* The name set, or that by which the process was started. */
const char *diag_program(void);

/*
 * Prints one line: the program's name, then FORMAT as printf(3) has it. A line that is too long for
 * a person ends in "...". errno is kept.
 */
void diag_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * The same for what does not stop the work: "PROGRAM: warning: ...".
 */
void diag_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Print a usage error in the form of getopt_long(3) and coreutils: "PROGRAM: FORMAT", then a second
 * line, "Try 'PROGRAM --help' for more information." Do not change errno.
 */
void diag_usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Print the usage error that getopt_long(3) has just reported for ARGV by its return value RESULT,
 * '?' or ':', in the form of diag_usage_error(). The caller must set opterr to 0, and OPTSTRING
 * must contain the leading ':' that makes getopt_long() return ':' for a missing argument.
 */
void diag_getopt_error(int result, char *const *argv);

/*
 * Writes TEXT into BUFFER of SIZE bytes, with every control character, every byte that is no UTF-8
 * and every character that reorders text as \xNN. Always ends in a NUL; what does not fit is left
 * out. Returns the length.
 */
size_t diag_printable(char *buffer, size_t size, const char *text);
