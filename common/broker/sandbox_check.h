/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a service is in the sandbox that its unit asks for. A service manager leaves out, with no
 * more than a warning, what it does not know, what it was built without, or what its kernel or the
 * container that it runs in does not let it do. So what counts is what this process finds.
 */
#pragma once

#include <stdbool.h>

/*
 * Whether a piece is missing that everything else relies on: a filter of system calls, a root
 * directory without a place to write, no network unless NETWORK says that there is to be one.
 * *WHAT: the piece, for a message that says what the service has.
 */
bool sandbox_check_missing(bool network, const char **what);
