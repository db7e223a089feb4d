/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One mount through a service, from the command line to the last message: what fuservicemount3 and
 * mount.fuse3 share.
 */
#pragma once

#include "mountline.h"

enum mounting {
	MOUNTING_DONE,
	MOUNTING_FAILED,     /* nothing is mounted */
	MOUNTING_NO_SERVICE, /* there is none, and nothing was tried */
};

/* Whether there is a trustworthy socket for SUBTYPE that the caller may write to. */
bool mounting_has_service(const char *subtype);

/*
 * Mounts LINE, which has a source, a mountpoint and a subtype. What fails is said in one line, but
 * for MOUNTING_NO_SERVICE where the service is OPTIONAL. The signal mask is as before.
 */
enum mounting mounting_run(const struct mountline *line, bool optional);
