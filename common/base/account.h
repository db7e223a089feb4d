/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * User accounts. A static executable reads only /etc/passwd: other sources would need NSS modules,
 * which are shared libraries.
 */
#pragma once

#include <pwd.h>

/*
 * Look up the account of the user NAME or of the user ID UID. Return NULL if it does not exist;
 * otherwise a pointer that is valid until the next call of either function.
 */
const struct passwd *account_by_name(const char *name);
const struct passwd *account_by_id(uid_t uid);
