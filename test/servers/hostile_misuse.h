/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Misuse of operations that the sandbox allows, and which must therefore have limits. */
#pragma once

/* Run the misuse whose name NAME begins with. Return the exit status of the server. */
int run_misuse(const char *name);
