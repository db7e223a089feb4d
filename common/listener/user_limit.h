/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The user whose mount limit applies to a caller with a subordinate user ID (subuid(5)).
 */
#pragma once

#include <stdio.h>
#include <sys/types.h>

/*
 * Return the user ID whose limits apply to USER: the first ID of the line of TABLE that contains
 * USER, so that all IDs of a line share one limit; or USER itself if no line contains it. TABLE is
 * in the format of subuid(5), or NULL.
 */
uid_t user_limit_uid(FILE *table, uid_t user);
