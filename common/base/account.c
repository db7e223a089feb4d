/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/account.h"

#include "config.h"

#if STATIC

#include "base/cleanup.h"

#include <string.h>

#define ACCOUNTS "/etc/passwd"

/* Find the account of NAME in /etc/passwd or, if NAME is NULL, that of UID. */
static const struct passwd *find_account(const char *name, uid_t uid)
{
	_cleanup_file_ FILE *file = fopen(ACCOUNTS, "re");
	const struct passwd *account = NULL;

	while (file && (account = fgetpwent(file)))
		if (name ? strcmp(account->pw_name, name) == 0 : account->pw_uid == uid)
			break;
	return account;
}

const struct passwd *account_by_name(const char *name)
{
	return find_account(name, 0);
}

const struct passwd *account_by_id(uid_t uid)
{
	return find_account(NULL, uid);
}

#else

const struct passwd *account_by_name(const char *name)
{
	return getpwnam(name);
}

const struct passwd *account_by_id(uid_t uid)
{
	return getpwuid(uid);
}

#endif
