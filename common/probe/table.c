/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/table.h"

#include "probe/print_aligned.h"
#include "probe/print_details.h"
#include "probe/print_json.h"
#include "probe/print_raw.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct table_column *find_column(const struct table_column *columns, const char *name,
					      size_t length)
{
	for (; columns->name; columns++)
		if (strncasecmp(columns->name, name, length) == 0 && !columns->name[length])
			return columns;
	return NULL;
}

int table_select(const struct table_column *columns, unsigned int sets, const char *list,
		 struct table_selection *selection, const char **wrongp)
{
	selection->count = 0;
	for (const struct table_column *column = columns;
	     (!list || *list == '+') && column->name && selection->count < TABLE_MAX_COLUMNS;
	     column++)
		if (column->sets & sets)
			selection->columns[selection->count++] = column;
	for (list = list && *list == '+' ? list + 1 : list; list;) {
		size_t length = strcspn(list, ",");
		const struct table_column *column = find_column(columns, list, length);

		*wrongp = list;
		if (!column || selection->count == TABLE_MAX_COLUMNS)
			return -EINVAL;
		selection->columns[selection->count++] = column;
		list = list[length] ? list + length + 1 : NULL;
	}
	return 0;
}

bool table_selection_includes(const struct table_selection *selection, unsigned int sets)
{
	for (size_t i = 0; i < selection->count; i++)
		if (selection->columns[i]->sets & sets)
			return true;
	return false;
}

static int print_columns(const struct table *table, const struct table_selection *selection)
{
	int error = table->row_count > 0 ? print_aligned(table, selection) : 0;

	if (error != -ENOSYS)
		return error;
	print_raw(table, selection);
	return 0;
}

int table_print(const struct table *table, const struct table_selection *selection)
{
	int error = 0;

	switch (selection->style) {
	case TABLE_ALIGNED:
	case TABLE_RAW:
		error = print_columns(table, selection);
		break;
	case TABLE_JSON:
		print_json(table, selection);
		break;
	case TABLE_DETAILS:
		print_details(table, selection);
		break;
	}
	if (error < 0)
		return error;
	return fflush(stdout) == EOF ? -errno : 0;
}
