/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables and JSON as util-linux's tools print them. Columns are aligned by the library of these,
 * libsmartcols, which is loaded for that; without it a table is printed as with --raw. JSON needs
 * no library: it would have no word for a list of which nothing is known.
 *
 * A row is a struct, a column a member of it. Much of what is in there was written by an attacker,
 * and so all texts are shown as diag_printable() has them, in JSON too.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* What kind of member a column is, and how it is shown. */
enum table_form {
	TABLE_TEXT,       /* char *; NULL: not known */
	TABLE_STATE,      /* the same, in the colour that belongs to it */
	TABLE_LINES,      /* char *, lines of a program's own; in JSON an array */
	TABLE_NUMBER,     /* int64_t; negative: not known */
	TABLE_SIZE,       /* the same, in bytes; for people 4.2M */
	TABLE_THOUSANDTH, /* the same, in thousandths: 300 is 0.3 */
};

/* An array of these ends with a name of NULL. */
struct table_column {
	const char *name; /* in upper case */
	enum table_form form;
	size_t offset;     /* of the member */
	unsigned int sets; /* bits: the program's sets of columns that it belongs to */
};

/* The colours of TABLE_STATE; an array of these ends with a text of NULL. */
struct table_colour {
	const char *text, *sequence;
};

struct table {
	const char *name; /* in JSON */
	const struct table_column *columns;
	const struct table_colour *colours;
	const void *const *rows; /* the structs */
	size_t row_count;
};

enum table_style {
	TABLE_PLAIN,
	TABLE_RAW, /* a blank between two columns, no alignment, \x20 for a blank */
	TABLE_JSON,
	TABLE_DETAILS, /* "name: text", a line each, what is not known left out */
};

/* Which columns, in which order. */
#define TABLE_MOST_COLUMNS 64
struct table_selection {
	const struct table_column *columns[TABLE_MOST_COLUMNS];
	size_t count;
	enum table_style style;
	bool headings, colours;
};

/*
 * Chooses the columns that LIST names, separated by commas, in any case; after a '+' they are more
 * beside those of SETS. NULL: those of SETS alone.
 * Returns 0; or -EINVAL where there is no such column, or too many are named: *WRONGP is the place.
 */
int table_choose(const struct table_column *columns, unsigned int sets, const char *list,
		 struct table_selection *choice, const char **wrongp);

/* Whether a column that belongs to any of SETS has been chosen. */
bool table_has_chosen(const struct table_selection *choice, unsigned int sets);

/* Prints TABLE on standard output. Returns 0 or a negative errno. */
int table_print(const struct table *table, const struct table_selection *choice);
