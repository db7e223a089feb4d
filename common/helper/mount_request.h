/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One mount through a service, from the command line to the last message: what fuservicemount3 and
 * mount.fuse3 share.
 */
#pragma once

#include "protocol/mount_args.h"

enum mount_result {
	MOUNT_RESULT_DONE,
	MOUNT_RESULT_FAILED,     /* nothing is mounted */
	MOUNT_RESULT_NO_SERVICE, /* there is none, and nothing was tried */
};

/*
 * Returns 1 where there is a socket for SUBTYPE that the caller may write to, 0 where there is
 * none, and -EPERM for one that is not to be trusted: who took that for none would be led to do
 * without.
 */
int mount_request_has_service(const char *subtype);

/*
 * Mounts LINE, which has a source, a mountpoint and a subtype. What fails is said in one line, but
 * for MOUNT_RESULT_NO_SERVICE where the service is OPTIONAL. There signals
 * are as before, for what is executed instead; else one that came waits, and this process ends
 * anyway.
 */
enum mount_result mount_request_run(const struct mount_args *args, bool optional);
