/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A check that the sandbox of this process is in effect. A service manager skips, with a mere
 * warning, directives that it does not know, or that its kernel or container does not support. So
 * check what this process can really do.
 */
#pragma once

#include <stdbool.h>

/*
 * Return true if an essential layer is missing: a system call filter, a read-only root directory,
 * or, unless ALLOW_NETWORK is set, isolation from the network. *FOUNDP: what the process has
 * instead, for a message.
 */
bool sandbox_check_is_incomplete(bool allow_network, const char **foundp);
