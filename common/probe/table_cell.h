/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The text and the colour of one cell of a table.
 */
#pragma once

#include "probe/table.h"

/* Switch a terminal back to its default colour. */
#define TABLE_RESET_COLOUR "\033[0m"

/* Return true if a column of TYPE has numbers. */
bool table_cell_is_number(enum table_type type);

/*
 * Return the text of COLUMN in ROW, which the caller frees; NULL if it is unknown, or out of
 * memory. The text is escaped, except for TABLE_RAW, which has escapes of its own.
 */
char *table_cell_text(const struct table_column *column, const void *row, enum table_style style);

/* Return the escape sequence of the colour for TEXT in COLUMN; NULL for the default colour. */
const char *table_cell_colour(const struct table *table, const struct table_selection *selection,
			      const struct table_column *column, const char *text);
