/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Subordinate user IDs: those that a user may assume in user namespaces (subuid(5)).
 */
#pragma once

#include <stdio.h>
#include <sys/types.h>

/*
 * Return the user ID whose limits apply to USER: the first ID of the line of TABLE that contains
 * USER, so that all IDs of a line share one limit; or USER itself if no line contains it. TABLE is
 * in the format of subuid(5), or NULL.
 */
uid_t subuid_counted_uid(FILE *table, uid_t user);
