/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages on standard error, in the form "PROGRAM: text".
 *
 * An attacker can choose parts of a message: a path that a service asks for, or a file name in an
 * image. Therefore every character that can move the cursor, change colours or reorder text is
 * printed as \xNN.
 */
#pragma once

#include <stddef.h>

/*
 * Set the program name that begins each message. NAME is borrowed and must stay valid. Only main()
 * calls this.
 */
void diag_set_program(const char *name);

/* Return the program name that was set, or the name by which the process was started. */
const char *diag_program(void);

/*
 * Print one line: the program name, then the text that FORMAT gives as in printf(3). Truncate a
 * long line and end it with "...". Do not change errno.
 */
void diag_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Print a warning in the same way: "PROGRAM: warning: text". */
void diag_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Print a usage error in the form of getopt_long(3) and coreutils: "PROGRAM: FORMAT", then a second
 * line, "Try 'PROGRAM --help' for more information." Do not change errno.
 */
void diag_usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Print a usage error, in the form of diag_usage_error(), after getopt_long(3) has returned RESULT
 * ('?' or ':') for ARGV. The caller must set opterr to 0, and OPTSTRING must begin with ':', which
 * makes getopt_long() return ':' for a missing argument.
 */
void diag_getopt_error(int result, char *const *argv);

/*
 * Copy TEXT to BUFFER of SIZE bytes and replace by \xNN every control character, every byte that is
 * not valid UTF-8, and every character that reorders text. Truncate it to fit; the result always
 * ends with a NUL. Return the length of the result.
 */
size_t diag_printable(char *buffer, size_t size, const char *text);
