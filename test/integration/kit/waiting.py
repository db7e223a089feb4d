# SPDX-License-Identifier: LGPL-2.1-or-later
"""Wait for a condition, with a timeout."""

import time

TIMEOUT_S = 60  # the default timeout for an event that takes a moment on an idle machine


def wait_for(condition, timeout_s=TIMEOUT_S, what="it"):
    """Wait until CONDITION returns a true value, and return it."""
    end = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end, f"timeout: {what} did not happen within {timeout_s} s"
        time.sleep(0.01)
    return found
