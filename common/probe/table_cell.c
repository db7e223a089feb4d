/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/table_cell.h"

#include "base/diag.h"
#include "base/human_size.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool table_cell_is_number(enum table_type type)
{
	return type == TABLE_NUMBER || type == TABLE_SIZE || type == TABLE_THOUSANDTH;
}

/* Return an escaped copy of TEXT, which the caller frees; or NULL. */
static char *escape(const char *text)
{
	size_t size = 4 * strlen(text) + 1; /* \xNN for each byte */
	char *copy = malloc(size);

	if (copy)
		diag_printable(copy, size, text);
	return copy;
}

static char *format_number(int64_t value, enum table_type type, enum table_style style)
{
	char text[HUMAN_SIZE_MAX];
	size_t last;

	if (value < 0)
		return NULL;
	snprintf(text, sizeof(text), "%" PRId64, value);
	if (type == TABLE_SIZE && (style == TABLE_ALIGNED || style == TABLE_DETAILS))
		human_size((uint64_t)value, text);
	if (type == TABLE_THOUSANDTH) {
		snprintf(text, sizeof(text), "%" PRId64 ".%03d", value / 1000, (int)(value % 1000));
		for (last = strlen(text) - 1; text[last] == '0' && text[last - 1] != '.'; last--)
			text[last] = '\0';
	}
	return strdup(text);
}

char *table_cell_text(const struct table_column *column, const void *row, enum table_style style)
{
	const void *member = (const char *)row + column->offset;
	const char *text;

	if (table_cell_is_number(column->type))
		return format_number(*(const int64_t *)member, column->type, style);
	text = *(const char *const *)member;
	if (!text)
		return NULL;
	return column->type == TABLE_LINES || style == TABLE_RAW ? strdup(text) : escape(text);
}

const char *table_cell_colour(const struct table *table, const struct table_selection *selection,
			      const struct table_column *column, const char *text)
{
	const struct table_colour *colour = table->colours;

	if (!selection->colours || column->type != TABLE_STATE || !text)
		return NULL;
	while (colour->text && strcmp(colour->text, text) != 0)
		colour++;
	return colour->sequence;
}
