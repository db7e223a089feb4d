/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/table.h"

#include "base/cleanup.h"
#include "base/diag.h"
#include "base/human_size.h"
#include "base/strv.h"
#include "config.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#define NO_COLOUR "\033[0m"

static const struct table_column *find(const struct table_column *columns, const char *name,
				       size_t length)
{
	for (; columns->name; columns++)
		if (strncasecmp(columns->name, name, length) == 0 && !columns->name[length])
			return columns;
	return NULL;
}

int table_choose(const struct table_column *columns, unsigned int sets, const char *list,
		 struct table_selection *choice, const char **wrongp)
{
	choice->count = 0;
	for (const struct table_column *column = columns;
	     (!list || *list == '+') && column->name && choice->count < TABLE_MOST_COLUMNS;
	     column++)
		if (column->sets & sets)
			choice->columns[choice->count++] = column;
	for (list = list && *list == '+' ? list + 1 : list; list;) {
		size_t length = strcspn(list, ",");
		const struct table_column *column = find(columns, list, length);

		*wrongp = list;
		if (!column || choice->count == TABLE_MOST_COLUMNS)
			return -EINVAL;
		choice->columns[choice->count++] = column;
		list = list[length] ? list + length + 1 : NULL;
	}
	return 0;
}

bool table_has_chosen(const struct table_selection *choice, unsigned int sets)
{
	for (size_t i = 0; i < choice->count; i++)
		if (choice->columns[i]->sets & sets)
			return true;
	return false;
}

/* TEXT in a form that no terminal obeys, but for the newlines of lines. */
static char *printable(const char *text)
{
	size_t size = 4 * strlen(text) + 1; /* \xNN for each byte */
	char *copy = malloc(size + 1);

	if (copy)
		diag_printable(copy, size + 1, text);
	return copy;
}

static char *number(int64_t value, enum table_form form, enum table_style style)
{
	char text[HUMAN_SIZE_MAX];
	size_t last;

	if (value < 0)
		return NULL;
	snprintf(text, sizeof(text), "%" PRId64, value);
	if (form == TABLE_SIZE && (style == TABLE_PLAIN || style == TABLE_DETAILS))
		human_size((uint64_t)value, text);
	if (form == TABLE_THOUSANDTH) {
		snprintf(text, sizeof(text), "%" PRId64 ".%03d", value / 1000, (int)(value % 1000));
		for (last = strlen(text) - 1; text[last] == '0' && text[last - 1] != '.'; last--)
			text[last] = '\0';
	}
	return strdup(text);
}

/* The text of a cell, which the caller frees; NULL: not known. A raw one may be harmful yet. */
static char *cell(const struct table_column *column, const void *row, enum table_style style)
{
	const void *member = (const char *)row + column->offset;
	const char *text;

	if (column->form >= TABLE_NUMBER)
		return number(*(const int64_t *)member, column->form, style);
	text = *(const char *const *)member;
	if (!text)
		return NULL;
	return column->form == TABLE_LINES || style == TABLE_RAW ? strdup(text) : printable(text);
}

static const char *colour_of(const struct table *table, const struct table_selection *choice,
			     const struct table_column *column, const char *text)
{
	const struct table_colour *colour = table->colours;

	if (!choice->colours || column->form != TABLE_STATE || !text)
		return NULL;
	while (colour->text && strcmp(colour->text, text) != 0)
		colour++;
	return colour->sequence;
}

/* NAME in lower case, or none, with enough blanks behind it. */
static void print_label(const char *name, size_t width)
{
	size_t used = 0;

	for (; name && name[used]; used++)
		putchar(tolower((unsigned char)name[used]));
	printf("%c%*s", name ? ':' : ' ', (int)(width + 1 - used), "");
}

static void print_details(const struct table *table, const struct table_selection *choice,
			  const void *row)
{
	size_t width = 0;

	for (size_t i = 0; i < choice->count; i++)
		if (strlen(choice->columns[i]->name) > width)
			width = strlen(choice->columns[i]->name);
	for (size_t i = 0; i < choice->count; i++) {
		const struct table_column *column = choice->columns[i];
		_cleanup_free_ char *text = cell(column, row, TABLE_DETAILS);
		const char *colour = colour_of(table, choice, column, text);
		const char *label = column->name;
		char *rest = text && *text ? text : NULL;

		for (char *line; (line = strsep(&rest, "\n")); label = NULL) {
			print_label(label, width);
			printf("%s%s%s\n", colour ? colour : "", line, colour ? NO_COLOUR : "");
		}
	}
}

#if HAVE_LIBSMARTCOLS

#include "base/sharedlib.h"

#include <libsmartcols.h>

#define LIBSMARTCOLS_FUNCTIONS(FUNCTION)                                                           \
	FUNCTION(scols_new_table)                                                                  \
	FUNCTION(scols_unref_table)                                                                \
	FUNCTION(scols_table_enable_noheadings)                                                    \
	FUNCTION(scols_table_enable_colors)                                                        \
	FUNCTION(scols_table_new_column)                                                           \
	FUNCTION(scols_column_set_safechars)                                                       \
	FUNCTION(scols_column_set_wrapfunc)                                                        \
	FUNCTION(scols_wrapnl_chunksize)                                                           \
	FUNCTION(scols_wrapnl_nextchunk)                                                           \
	FUNCTION(scols_table_new_line)                                                             \
	FUNCTION(scols_line_refer_data)                                                            \
	FUNCTION(scols_line_get_cell)                                                              \
	FUNCTION(scols_cell_set_color)                                                             \
	FUNCTION(scols_print_table)

struct libsmartcols {
	void *library;
	LIBSMARTCOLS_FUNCTIONS(SHAREDLIB_MEMBER)
	struct libscols_table *table;
};

static int load(struct libsmartcols *lib)
{
	int error = sharedlib_load(&lib->library, "libsmartcols.so.1");

	if (error < 0)
		return error;
	LIBSMARTCOLS_FUNCTIONS(SHAREDLIB_LOOK_UP)
	lib->table = lib->scols_new_table();
	return lib->table ? 0 : -ENOMEM;
}

static int add_column(struct libsmartcols *lib, const struct table_column *column)
{
	bool lines = column->form == TABLE_LINES, number = column->form >= TABLE_NUMBER;
	struct libscols_column *added = lib->scols_table_new_column(lib->table, column->name, 0,
								    lines    ? SCOLS_FL_WRAP
								    : number ? SCOLS_FL_RIGHT
									     : 0);

	if (!added)
		return -ENOMEM;
	/* The texts are harmless already. */
	lib->scols_column_set_safechars(added, "\\\n");
	if (!lines)
		return 0;
	return lib->scols_column_set_wrapfunc(added, lib->scols_wrapnl_chunksize,
					      lib->scols_wrapnl_nextchunk, NULL);
}

static int add_row(struct libsmartcols *lib, const struct table *table,
		   const struct table_selection *choice, const void *row)
{
	struct libscols_line *line = lib->scols_table_new_line(lib->table, NULL);

	if (!line)
		return -ENOMEM;
	for (size_t i = 0; i < choice->count; i++) {
		char *text = cell(choice->columns[i], row, choice->style);
		const char *colour = colour_of(table, choice, choice->columns[i], text);
		int error = text ? lib->scols_line_refer_data(line, i, text) : 0;

		if (error < 0)
			return error;
		if (colour)
			lib->scols_cell_set_color(lib->scols_line_get_cell(line, i), colour);
	}
	return 0;
}

static int fill(struct libsmartcols *lib, const struct table *table,
		const struct table_selection *choice)
{
	int error = 0;

	lib->scols_table_enable_noheadings(lib->table, !choice->headings);
	lib->scols_table_enable_colors(lib->table, choice->colours);
	for (size_t i = 0; error == 0 && i < choice->count; i++)
		error = add_column(lib, choice->columns[i]);
	for (size_t i = 0; error == 0 && i < table->row_count; i++)
		error = add_row(lib, table, choice, table->rows[i]);
	return error;
}

static int print_by_library(const struct table *table, const struct table_selection *choice)
{
	struct libsmartcols loaded = { 0 }, *lib = &loaded;
	int error = load(lib);

	if (error < 0)
		return error;
	error = fill(lib, table, choice);
	if (error == 0)
		error = lib->scols_print_table(lib->table);
	lib->scols_unref_table(lib->table);
	return error;
}

#else

static int print_by_library(const struct table *table, const struct table_selection *choice)
{
	(void)table, (void)choice;
	return -ENOSYS;
}

#endif

/* As util-linux has it: what would look like the end of a cell or a line, and the escape itself. */
#define RAW_ESCAPED " \n\\"

static void print_word(char *text, bool first)
{
	if (!first)
		putchar(' ');
	while (text && *text) {
		size_t length = strcspn(text, RAW_ESCAPED);
		char end = text[length];
		_cleanup_free_ char *plain = NULL;

		text[length] = '\0';
		plain = printable(text);
		fputs(plain ? plain : "", stdout);
		if (end)
			printf("\\x%02x", end);
		text += length + (end != '\0');
	}
}

static void print_raw(const struct table *table, const struct table_selection *choice)
{
	for (size_t i = 0; i < choice->count && choice->headings; i++)
		printf("%s%s", i == 0 ? "" : " ", choice->columns[i]->name);
	if (choice->headings)
		putchar('\n');
	for (size_t row = 0; row < table->row_count; row++) {
		for (size_t i = 0; i < choice->count; i++) {
			_cleanup_free_ char *text =
				cell(choice->columns[i], table->rows[row], TABLE_RAW);

			print_word(text, i == 0);
		}
		putchar('\n');
	}
}

/* A string: TEXT has no control character, nor what is no UTF-8. */
static void print_string(const char *text, bool lower)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar(lower ? tolower((unsigned char)*text) : *text);
	}
	putchar('"');
}

static void print_array(char *lines)
{
	char *rest = *lines ? lines : NULL;
	const char *line;

	putchar('[');
	while ((line = strsep(&rest, "\n"))) {
		print_string(line, false);
		if (rest)
			printf(", ");
	}
	putchar(']');
}

static void print_value(const struct table_column *column, const void *row)
{
	_cleanup_free_ char *text = cell(column, row, TABLE_JSON);

	if (!text)
		printf("null");
	else if (column->form == TABLE_LINES)
		print_array(text);
	else if (column->form >= TABLE_NUMBER)
		printf("%s", text);
	else
		print_string(text, false);
}

static void print_json(const struct table *table, const struct table_selection *choice)
{
	printf("{\n   \"%s\": [", table->name);
	for (size_t row = 0; row < table->row_count; row++) {
		printf("%s{", row == 0 ? "\n      " : ",");
		for (size_t i = 0; i < choice->count; i++) {
			printf("%s\n         ", i == 0 ? "" : ",");
			print_string(choice->columns[i]->name, true);
			printf(": ");
			print_value(choice->columns[i], table->rows[row]);
		}
		printf("\n      }");
	}
	printf("%s]\n}\n", table->row_count == 0 ? "" : "\n   ");
}

static void print_all_details(const struct table *table, const struct table_selection *choice)
{
	for (size_t i = 0; i < table->row_count; i++) {
		if (i > 0)
			putchar('\n');
		print_details(table, choice, table->rows[i]);
	}
}

int table_print(const struct table *table, const struct table_selection *choice)
{
	enum table_style style = choice->style;
	int error = 0;

	if (style == TABLE_PLAIN && table->row_count > 0)
		error = print_by_library(table, choice);
	if (error == -ENOSYS || (style == TABLE_RAW && table->row_count > 0))
		print_raw(table, choice);
	if (style == TABLE_JSON)
		print_json(table, choice);
	if (style == TABLE_DETAILS)
		print_all_details(table, choice);
	if (error < 0 && error != -ENOSYS)
		return error;
	return fflush(stdout) == EOF ? -errno : 0;
}
