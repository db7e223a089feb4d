/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A report on the sandbox of a systemd service unit, as text for the user. */
#pragma once

#include "probe/systemd.h"

#include <stdint.h>

/*
 * Describe the sandbox of SERVICE, a template unit. Store the restrictions in *CLOSEDP and the
 * missing restrictions in *OPENP, one per line. The caller frees both. Both are NULL if the unit
 * cannot be loaded.
 * Return 0 or a negative errno.
 */
int unit_report_describe(struct systemd *systemd, const char *service, char **closedp,
			 char **openp);

/*
 * Return the exposure level of SERVICE, a template unit, as "systemd-analyze security" rates it, in
 * thousandths: 0 is best, 10000 is worst. Return -1 if the tool is missing or takes too long.
 */
int64_t unit_report_exposure(const char *service);
