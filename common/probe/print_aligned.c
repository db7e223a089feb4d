/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/print_aligned.h"

#include "config.h"

#include <errno.h>

#if HAVE_LIBSMARTCOLS

#include "base/sharedlib.h"
#include "probe/table_cell.h"

#include <libsmartcols.h>

#define LIBSMARTCOLS_FUNCTIONS(FUNCTION)                                                           \
	FUNCTION(scols_new_table)                                                                  \
	FUNCTION(scols_unref_table)                                                                \
	FUNCTION(scols_table_enable_noheadings)                                                    \
	FUNCTION(scols_table_enable_colors)                                                        \
	FUNCTION(scols_table_enable_raw)                                                           \
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

static int column_flags(const struct table_column *column)
{
	if (column->type == TABLE_LINES)
		return SCOLS_FL_WRAP;
	return table_cell_is_number(column->type) ? SCOLS_FL_RIGHT : 0;
}

static int add_column(struct libsmartcols *lib, const struct table_column *column)
{
	struct libscols_column *added =
		lib->scols_table_new_column(lib->table, column->name, 0, column_flags(column));

	if (!added)
		return -ENOMEM;
	/* The text is escaped already: print its backslashes as they are. */
	lib->scols_column_set_safechars(added, "\\\n");
	if (column->type != TABLE_LINES)
		return 0;
	return lib->scols_column_set_wrapfunc(added, lib->scols_wrapnl_chunksize,
					      lib->scols_wrapnl_nextchunk, NULL);
}

static int add_row(struct libsmartcols *lib, const struct table *table,
		   const struct table_selection *selection, const void *row)
{
	struct libscols_line *line = lib->scols_table_new_line(lib->table, NULL);

	if (!line)
		return -ENOMEM;
	for (size_t i = 0; i < selection->count; i++) {
		const struct table_column *column = selection->columns[i];
		char *text = table_cell_text(column, row, selection->style);
		const char *colour = table_cell_colour(table, selection, column, text);
		int error = text ? lib->scols_line_refer_data(line, i, text) : 0;

		if (error < 0)
			return error;
		if (colour)
			lib->scols_cell_set_color(lib->scols_line_get_cell(line, i), colour);
	}
	return 0;
}

static int fill_table(struct libsmartcols *lib, const struct table *table,
		      const struct table_selection *selection)
{
	int error = 0;

	lib->scols_table_enable_noheadings(lib->table, !selection->headings);
	lib->scols_table_enable_colors(lib->table, selection->colours);
	if (selection->style == TABLE_RAW)
		lib->scols_table_enable_raw(lib->table, 1);
	for (size_t i = 0; error == 0 && i < selection->count; i++)
		error = add_column(lib, selection->columns[i]);
	for (size_t i = 0; error == 0 && i < table->row_count; i++)
		error = add_row(lib, table, selection, table->rows[i]);
	return error;
}

int print_aligned(const struct table *table, const struct table_selection *selection)
{
	struct libsmartcols loaded = { 0 }, *lib = &loaded;
	int error = load(lib);

	if (error < 0)
		return error;
	error = fill_table(lib, table, selection);
	if (error == 0)
		error = lib->scols_print_table(lib->table);
	lib->scols_unref_table(lib->table);
	return error;
}

#else

int print_aligned(const struct table *table, const struct table_selection *selection)
{
	(void)table, (void)selection;
	return -ENOSYS;
}

#endif
