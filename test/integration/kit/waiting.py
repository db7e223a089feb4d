# SPDX-License-Identifier: LGPL-2.1-or-later
"""Wait for a condition, with a timeout."""

import time

PATIENCE = 60  # seconds that a test waits for an event that takes a moment on an idle machine


def wait_for(condition, patience=PATIENCE, what="it"):
    """Wait until CONDITION returns a true value, and return it."""
    end = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} did not come within {patience} s"
        time.sleep(0.01)
    return found
