# SPDX-License-Identifier: LGPL-2.1-or-later
"""Check that a test leaves no mount, mount table entry, child process or file descriptor behind."""

import contextlib
import os
import signal

from . import mounts, utab
from .processes import descriptors_of, own_children, reap_adopted
from .waiting import PATIENCE, wait_for


class Traces:
    """The mounts, mount table entries, child processes and file descriptors that a test must leave as it found them."""

    def __init__(self):
        self.before = self.look()

    @staticmethod
    def look():
        return {
            "mounts": sorted(map(str, mounts.mountinfo())),
            "mount table": utab.user_table(),
            "children": own_children(),
            "descriptors": sorted(target for target in descriptors_of("self") if not target.startswith("/proc/")),
        }

    def differences(self):
        now = self.look()
        return {what: now[what] for what in now if now[what] != self.before[what]}

    def sweep(self):
        """Ends the processes and mounts that were left, so that the next test starts clean."""
        for pid in set(own_children()) - set(self.before["children"]):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for left in reversed(mounts.mountinfo()):
            if str(left) not in self.before["mounts"]:
                mounts.detach(left.mountpoint)


@contextlib.contextmanager
def nothing_left(patience=PATIENCE):
    """Asserts that no mount, entry of the mount table, child process or descriptor is left behind."""
    traces = Traces()

    def is_clean():
        reap_adopted(traces.before["children"])
        return not traces.differences()

    yield
    try:
        wait_for(is_clean, patience, "the state of before")
    except AssertionError:
        raise AssertionError(f"left behind: {traces.differences()}") from None
    finally:
        traces.sweep()
