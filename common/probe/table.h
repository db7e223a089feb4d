/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables of structs, printed as the tools of util-linux print them: aligned, raw, as JSON, or as
 * one line for each value.
 *
 * A row is a struct, and a column describes one of its members. Much of the text was written by an
 * attacker, so all text is printed as diag_printable() escapes it, in JSON too.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum table_type {
	TABLE_TEXT,       /* char *; NULL: unknown */
	TABLE_STATE,      /* the same, in colour */
	TABLE_LINES,      /* char *, trusted text with several lines; an array in JSON */
	TABLE_NUMBER,     /* int64_t; negative: unknown */
	TABLE_SIZE,       /* int64_t, in bytes; printed as 4.2M if aligned or in details */
	TABLE_THOUSANDTH, /* int64_t, in thousandths: 300 is printed as 0.3 */
};

/* An array of columns ends with a name of NULL. */
struct table_column {
	const char *name; /* in upper case */
	enum table_type type;
	size_t offset;     /* of the member */
	unsigned int sets; /* bits: the sets of columns that it belongs to */
};

/* A colour for one text of TABLE_STATE. An array of colours ends with a text of NULL. */
struct table_colour {
	const char *text;
	const char *sequence; /* terminal escape sequence */
};

struct table {
	const char *name; /* key of the list in JSON */
	const struct table_column *columns;
	const struct table_colour *colours;
	const void *const *rows; /* pointers to structs */
	size_t row_count;
};

enum table_style {
	TABLE_ALIGNED,
	TABLE_RAW, /* one space between columns, special characters as \xNN */
	TABLE_JSON,
	TABLE_DETAILS, /* "name: text" for each known value */
};

#define TABLE_MAX_COLUMNS 64

/* The columns to print, in their order, and how to print them. */
struct table_selection {
	const struct table_column *columns[TABLE_MAX_COLUMNS];
	size_t count;
	enum table_style style;
	bool headings, colours;
};

/*
 * Select the columns in LIST, a list of names separated by commas, in upper or lower case. If LIST
 * begins with '+', they are added to the columns of SETS; if LIST is NULL, only the columns of SETS
 * are selected. Return 0; or -EINVAL if a name is unknown or too many columns are selected: *WRONGP
 * then points to the name in LIST.
 */
int table_select(const struct table_column *columns, unsigned int sets, const char *list,
		 struct table_selection *selection, const char **wrongp);

/* Return true if a column of any of SETS is selected. */
bool table_selection_includes(const struct table_selection *selection, unsigned int sets);

/* Print TABLE on standard output. Return 0 or a negative errno. */
int table_print(const struct table *table, const struct table_selection *selection);
