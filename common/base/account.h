/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The accounts of users. A static executable knows those of /etc/passwd alone: for others, the C
 * library would have to load modules that are made for a shared one.
 */
#pragma once

#include <pwd.h>

/* Each returns NULL where there is none, or what is valid until the next call of either. */
const struct passwd *account_by_name(const char *name);
const struct passwd *account_by_id(uid_t uid);
