/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a server can do at any time, and what must therefore have a limit. */
#pragma once

/* Returns the exit code, if the habit has an end. */
int have_habit(const char *name);
