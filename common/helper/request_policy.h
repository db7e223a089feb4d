/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Policy checks for requests of the service. Pure functions of the authority and the request: they
 * open no file, and the service cannot influence the authority.
 *
 * On failure the functions return the negative errno for the reply to the service and store the
 * reason, for a message, in *REASON.
 */
#pragma once

#include "helper/authority.h"

#include <stdbool.h>
#include <stdint.h>

/* Return true if the caller's options make the mount read-only. */
bool request_policy_is_read_only(const struct authority *authority);

/* Return true if the caller is permitted to use allow_other. */
bool request_policy_may_allow_other(const struct authority *authority);

/*
 * Check that the service may have PATH opened with FLAGS (O_*). PATH must be spelled as on the
 * command line or in the administrator's configuration.
 */
int request_policy_check_open(const struct authority *authority, const char *path, uint32_t flags,
			      const char **reason);

/* Check that the mount may have this SOURCE. */
int request_policy_check_source(const struct authority *authority, const char *source,
				const char **reason);

/*
 * Check OPTIONS, the service's list of options for the kernel. FUSEBLK is true if the mount is, or
 * may become, of type fuseblk. Store the list for the kernel, which the caller frees, in *LISTP;
 * NULL if it is empty. allow_other adds default_permissions.
 */
int request_policy_filter_kernel_options(const struct authority *authority, const char *options,
					 bool fuseblk, char **listp, const char **reason);

/*
 * Select the options for the mount table from OPTIONS, the service's list. An option is selected if
 * it is for user space, is also on the command line, and contains no comma, quote or backslash. If
 * the caller is not root, user=, uhelper= and helper= are not selected either. Store the list,
 * which the caller frees, in *LISTP; NULL if it is empty.
 */
int request_policy_filter_table_options(const struct authority *authority, const char *options,
					char **listp, const char **reason);

/*
 * Check the MS_* flags REQUESTED by the service. Store in *FLAGSP the requested flags, those of the
 * caller's options, and nosuid and nodev unless root has cleared them.
 */
int request_policy_choose_mount_flags(const struct authority *authority, uint32_t requested,
				      unsigned long *flagsp, const char **reason);
