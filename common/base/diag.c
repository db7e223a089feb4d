/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/diag.h"

#include "base/array.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * The maximum length of a line. All messages of this program fit; text chosen by an attacker cannot
 * flood the terminal.
 */
#define LINE_MAX_BYTES 2048

static const char *program_name;

void diag_set_program(const char *name)
{
	program_name = name;
}

const char *diag_program(void)
{
	return program_name ? program_name : program_invocation_short_name;
}

/*
 * Decode the UTF-8 character at TEXT into *CODE (RFC 3629). Return its length, or 0 if it is not
 * valid.
 */
static size_t utf8_character(const unsigned char *text, uint32_t *code)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t lowest;
	} forms[] = {
		{ 0x80, 0x00, 0 },
		{ 0xe0, 0xc0, 0x80 },
		{ 0xf0, 0xe0, 0x800 },
		{ 0xf8, 0xf0, 0x10000 },
	};

	for (size_t more = 0; more < ARRAY_SIZE(forms); more++) {
		if ((text[0] & forms[more].mask) != forms[more].lead)
			continue;
		*code = text[0] & (unsigned char)~forms[more].mask;
		for (size_t i = 1; i <= more; i++) {
			if ((text[i] & 0xc0) != 0x80)
				return 0;
			*code = *code << 6 | (text[i] & 0x3f);
		}
		if (*code < forms[more].lowest || *code > 0x10ffff ||
		    (*code >= 0xd800 && *code <= 0xdfff))
			return 0;
		return more + 1;
	}
	return 0;
}

/* Return false for control characters (C0, DEL, C1), line separators and bidirectional controls. */
static bool is_printable(uint32_t code)
{
	return code >= 0x20 && !(code >= 0x7f && code < 0xa0) && code != 0x061c &&
	       !(code >= 0x200e && code <= 0x200f) && !(code >= 0x2028 && code <= 0x202e) &&
	       !(code >= 0x2066 && code <= 0x2069);
}

size_t diag_printable(char *buffer, size_t size, const char *text)
{
	const unsigned char *in = (const unsigned char *)text;
	size_t used = 0;

	while (*in) {
		uint32_t code;
		size_t length = utf8_character(in, &code);
		size_t shown = length;
		char number[5];

		if (length == 0 || !is_printable(code)) {
			length = 1;
			shown = (size_t)snprintf(number, sizeof(number), "\\x%02x", *in);
		}
		if (used + shown >= size)
			break;
		memcpy(buffer + used, shown == length ? (const char *)in : number, shown);
		used += shown;
		in += length;
	}
	if (size > 0)
		buffer[used] = '\0';
	return used;
}

/* Write LINE in one call, so that lines of several processes do not mix. */
static void write_line(const char *line, size_t size)
{
	while (write(STDERR_FILENO, line, size) < 0 && errno == EINTR)
		;
}

static void __attribute__((format(printf, 2, 0)))
print_line(const char *prefix, const char *format, va_list arguments)
{
	int saved = errno;
	char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
	/*
	 * The program name is limited as well: it can come from argv[0], which the caller chooses.
	 */
	int start = snprintf(text, sizeof(text), "%.64s: %s", diag_program(), prefix);
	int wanted = vsnprintf(text + start, sizeof(text) - (size_t)start, format, arguments);
	/* Reserve space for "..." and the newline. */
	size_t used = diag_printable(line, sizeof(line) - 4, text);

	if (wanted < 0 || (size_t)start + (size_t)wanted >= sizeof(text) ||
	    used + 8 >= sizeof(line)) {
		for (int i = 0; i < 3; i++)
			line[used++] = '.';
	}
	line[used++] = '\n';
	write_line(line, used);
	errno = saved;
}

void diag_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_line("", format, arguments);
	va_end(arguments);
}

void diag_warning(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_line("warning: ", format, arguments);
	va_end(arguments);
}

void diag_usage_error(const char *format, ...)
{
	char hint[LINE_MAX_BYTES];
	va_list arguments;
	int saved = errno;
	int length = snprintf(hint, sizeof(hint), "Try '%.64s --help' for more information.\n",
			      diag_program());

	va_start(arguments, format);
	print_line("", format, arguments);
	va_end(arguments);
	write_line(hint, (size_t)length);
	errno = saved;
}

void diag_getopt_error(int result, char *const *argv)
{
	/* If an option argument is missing at the end, musl leaves optind behind the NULL. */
	const char *argument = argv[optind - 1] ? argv[optind - 1] : argv[optind - 2];
	bool is_long = strncmp(argument, "--", 2) == 0;
	int name_length = (int)strcspn(argument, "=");

	if (result == ':' && is_long)
		diag_usage_error("option '%s' requires an argument", argument);
	else if (result == ':')
		diag_usage_error("option '-%c' requires an argument", optopt);
	else if (optopt == 0)
		diag_usage_error("unrecognized option '%s'", argument);
	else if (is_long && argument[name_length] == '=')
		diag_usage_error("option '%.*s' doesn't allow an argument", name_length, argument);
	else
		diag_usage_error("invalid option -- '%c'", optopt);
}
