/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/print_raw.h"

#include "base/cleanup.h"
#include "probe/table_cell.h"

#include <stdio.h>

/* TEXT: NULL if it is unknown. */
static void print_cell(const char *text)
{
	for (; text && *text; text++)
		if (*text > ' ' && *text <= '~' && *text != '\\')
			putchar(*text);
		else
			printf("\\x%02x", (unsigned char)*text);
}

void print_raw(const struct table *table, const struct table_selection *selection)
{
	for (size_t i = 0; i < selection->count && selection->headings; i++)
		printf("%s%s", i == 0 ? "" : " ", selection->columns[i]->name);
	if (selection->headings)
		putchar('\n');
	for (size_t row = 0; row < table->row_count; row++) {
		for (size_t i = 0; i < selection->count; i++) {
			_cleanup_free_ char *text =
				table_cell_text(selection->columns[i], table->rows[row], TABLE_RAW);

			if (i > 0)
				putchar(' ');
			print_cell(text);
		}
		putchar('\n');
	}
}
