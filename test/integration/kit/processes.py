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
    """Read from every process's parent: not each kernel lists the children."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and parent_of(entry) == pid]


def own_children():
    """The children of the tests themselves, dead ones too; mostly there are none, which the kernel knows at once."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return []
    return sorted(children_of(os.getpid()))


def family(pid):
    """The process and all that came from it, elders first."""
    return [pid] + [member for child in children_of(pid) for member in family(child)]


def descriptors_of(pid):
    found = []
    with contextlib.suppress(FileNotFoundError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(f"/proc/{pid}/fd/{number}"))
    return found


@contextlib.contextmanager
def forked(function):
    """A copy of this process that calls the function and waits to be ended: its pid."""
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
    """A daemon whose parent has left becomes a child of the tests, so that none escapes them."""
    mounts.check(mounts.LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def reap_adopted(known):
    """Buries the orphans that have ended by themselves."""
    for pid in set(own_children()) - set(known):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def wait_for_orphans(known):
    """Until all children but the known have ended, such as those that a killed program has left."""
    known = set(known)
    wait_for(lambda: not reap_adopted(known) and set(own_children()) <= known, what="the end of what was left running")
