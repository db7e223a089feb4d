/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A table in the raw format of util-linux: one space between columns, without alignment, and \xNN
 * for each byte that is a space, a backslash, or not printable ASCII. For systems without
 * libsmartcols.
 */
#pragma once

#include "probe/table.h"

void print_raw(const struct table *table, const struct table_selection *selection);
