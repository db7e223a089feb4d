/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/print_json.h"

#include "base/cleanup.h"
#include "probe/table_cell.h"

#include <ctype.h>
#include <string.h>

/* Print TEXT, which is valid UTF-8 without control characters, as a string. */
static void print_string(const char *text, bool in_lower_case)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar(in_lower_case ? tolower((unsigned char)*text) : *text);
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
	_cleanup_free_ char *text = table_cell_text(column, row, TABLE_JSON);

	if (!text)
		printf("null");
	else if (column->type == TABLE_LINES)
		print_array(text);
	else if (table_cell_is_number(column->type))
		printf("%s", text);
	else
		print_string(text, false);
}

void print_json(const struct table *table, const struct table_selection *selection)
{
	printf("{\n   \"%s\": [", table->name);
	for (size_t row = 0; row < table->row_count; row++) {
		printf("%s{", row == 0 ? "\n      " : ",");
		for (size_t i = 0; i < selection->count; i++) {
			printf("%s\n         ", i == 0 ? "" : ",");
			print_string(selection->columns[i]->name, true);
			printf(": ");
			print_value(selection->columns[i], table->rows[row]);
		}
		printf("\n      }");
	}
	printf("%s]\n}\n", table->row_count == 0 ? "" : "\n   ");
}
