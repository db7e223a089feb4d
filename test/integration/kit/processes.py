# SPDX-License-Identifier: LGPL-2.1-or-later
"""Children, descendants and file descriptors of processes, read from /proc."""

import contextlib
import os
import signal

from . import mounts
from .waiting import wait_for

PR_SET_CHILD_SUBREAPER = 36


def parent_of(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/stat") as line:
        return int(line.read().rpartition(") ")[2].split()[1])
    return None


def children_of(pid):
    """Find the children by the parent of each process: not all kernels have /proc/PID/task/TID/children."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and parent_of(entry) == pid]


def own_children():
    """Return the children of the test process, also zombies. Usually there are none, which waitid(2) reports without
    reading /proc."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return []
    return sorted(children_of(os.getpid()))


def process_tree(pid):
    """Return the process and all its descendants, parents first."""
    return [pid] + [member for child in children_of(pid) for member in process_tree(child)]


def descriptors_of(pid):
    found = []
    with contextlib.suppress(FileNotFoundError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(f"/proc/{pid}/fd/{number}"))
    return found


@contextlib.contextmanager
def forked(function):
    """Call FUNCTION in a child process, which then waits until it is killed. Yield its pid."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            function()
            signal.pause()
        os._exit(1)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def adopt_orphans():
    """Make orphans children of the test process, so that they can be found."""
    mounts.check(mounts.LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def reap_adopted(known):
    """Wait for orphans that have exited."""
    for pid in set(own_children()) - set(known):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def wait_for_orphans(known):
    """Wait until all children except KNOWN have exited, such as those of a killed program."""
    known = set(known)
    wait_for(lambda: not reap_adopted(known) and set(own_children()) <= known, what="the end of orphans")
