/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A table as JSON: an object with one list. Keys are the names of the columns in lower case. An
 * unknown value is null, also an unknown list: libsmartcols (2.38) would print [null] for it, and
 * the same for an empty list.
 */
#pragma once

#include "probe/table.h"

void print_json(const struct table *table, const struct table_selection *selection);
