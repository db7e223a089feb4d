/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A table as details: "name: text" in a line of its own for each known value.
 */
#pragma once

#include "probe/table.h"

void print_details(const struct table *table, const struct table_selection *selection);
