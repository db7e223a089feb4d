/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/print_details.h"

#include "base/cleanup.h"
#include "probe/table_cell.h"

#include <ctype.h>
#include <string.h>

/* Print NAME in lower case and pad it to WIDTH. NULL: only pad. */
static void print_label(const char *name, size_t width)
{
	size_t length = 0;

	for (; name && name[length]; length++)
		putchar(tolower((unsigned char)name[length]));
	printf("%c%*s", name ? ':' : ' ', (int)(width + 1 - length), "");
}

static void print_row(const struct table *table, const struct table_selection *selection,
		      const void *row, size_t width)
{
	for (size_t i = 0; i < selection->count; i++) {
		const struct table_column *column = selection->columns[i];
		_cleanup_free_ char *text = table_cell_text(column, row, TABLE_DETAILS);
		const char *colour = table_cell_colour(table, selection, column, text);
		const char *label = column->name;
		char *rest = text && *text ? text : NULL;

		for (char *line; (line = strsep(&rest, "\n")); label = NULL) {
			print_label(label, width);
			printf("%s%s%s\n", colour ? colour : "", line,
			       colour ? TABLE_RESET_COLOUR : "");
		}
	}
}

void print_details(const struct table *table, const struct table_selection *selection)
{
	size_t width = 0;

	for (size_t i = 0; i < selection->count; i++)
		if (strlen(selection->columns[i]->name) > width)
			width = strlen(selection->columns[i]->name);
	for (size_t i = 0; i < table->row_count; i++) {
		if (i > 0)
			putchar('\n');
		print_row(table, selection, table->rows[i], width);
	}
}
