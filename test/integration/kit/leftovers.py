# SPDX-License-Identifier: LGPL-2.1-or-later
"""Check that a test leaves no mount, mount table entry, child process or file descriptor behind."""

import contextlib
import os
import signal

from . import mounts, utab
from .processes import descriptors_of, own_children, reap_adopted
from .waiting import TIMEOUT_S, wait_for


class Leftovers:
    """The mounts, mount table entries, child processes and file descriptors of the test process."""

    def __init__(self):
        self.before = self.examine()

    @staticmethod
    def examine():
        return {
            "mounts": sorted(map(str, mounts.mountinfo())),
            "mount table": utab.user_table(),
            "children": own_children(),
            "descriptors": sorted(target for target in descriptors_of("self") if not target.startswith("/proc/")),
        }

    def differences(self):
        now = self.examine()
        return {kind: now[kind] for kind in now if now[kind] != self.before[kind]}

    def remove(self):
        """Kill processes and detach mounts that are left."""
        for pid in set(own_children()) - set(self.before["children"]):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for left in reversed(mounts.mountinfo()):
            if str(left) not in self.before["mounts"]:
                mounts.detach(left.mountpoint)


@contextlib.contextmanager
def nothing_left(timeout_s=TIMEOUT_S):
    """Check that no mount, mount table entry, child process or descriptor is left behind."""
    leftovers = Leftovers()

    def is_clean():
        reap_adopted(leftovers.before["children"])
        return not leftovers.differences()

    yield
    try:
        wait_for(is_clean, timeout_s, "the previous state")
    except AssertionError:
        raise AssertionError(f"left behind: {leftovers.differences()}") from None
    finally:
        leftovers.remove()
