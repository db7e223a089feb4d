/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Subordinate users: those that one user may be, in user namespaces.
 */
#pragma once

#include <stdio.h>
#include <sys/types.h>

/*
 * Whom USER counts for where users have limits: all of one line of TABLE, which is as subuid(5) has
 * it or NULL, for the line's first; others for themselves.
 */
uid_t subuid_counts_for(FILE *table, uid_t user);
