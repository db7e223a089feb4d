/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A table printed by libsmartcols, the library of util-linux: aligned or raw. The library is loaded
 * when it is needed.
 */
#pragma once

#include "probe/table.h"

/*
 * Print TABLE in the style TABLE_ALIGNED or TABLE_RAW.
 * Return 0; -ENOSYS if libsmartcols is not available, and print nothing; or another negative errno.
 */
int print_aligned(const struct table *table, const struct table_selection *selection);
