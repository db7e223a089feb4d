/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a service's sandbox means, in words.
 */
#pragma once

#include "probe/systemd.h"

#include <stdint.h>

/*
 * Describes what the unit of SERVICE, a template, closes and what it leaves open, a line each;
 * NULL where there is nothing to say. The caller frees both. A unit that cannot be asked for has
 * neither. Returns 0 or a negative errno.
 */
int unit_report_describe(struct systemd *systemd, const char *service, char **closedp,
			 char **openp);

/*
 * The exposure of SERVICE, a template, as "systemd-analyze security" rates it, in thousandths: 0 is
 * closed, 10000 wide open. Negative where that tool is not there, or has no answer in time.
 */
int64_t unit_report_exposure(const char *service);
