# SPDX-License-Identifier: LGPL-2.1-or-later
"""A check whether this machine has the 32-bit system calls of x86: without them no test can show that they are refused."""

import functools
import subprocess

from .build_options import SERVERS

PROBE = SERVERS / "compat_calls"
REASON = "this machine has no 32-bit system calls (int 0x80)"


@functools.cache
def exist(probe=PROBE):
    """Return whether they reach the kernel, as PROBE says by its exit status."""
    return subprocess.run([probe], stdin=subprocess.DEVNULL, timeout=60).returncode == 0
