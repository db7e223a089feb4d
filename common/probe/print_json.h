/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A table as JSON: an object with one list. Keys are the names of the columns in lower case.
 * Unknown values are null. libsmartcols (2.38) is not used: for a list that is unknown or empty it
 * prints [null].
 */
#pragma once

#include "probe/table.h"

void print_json(const struct table *table, const struct table_selection *selection);
