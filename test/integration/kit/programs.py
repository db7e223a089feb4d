# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs under test: started, watched, and ended whatever happens."""

import contextlib
import ctypes
import functools
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
from typing import NamedTuple

from . import mounts
from .channel import PATIENCE

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("FSVC_BUILD", REPOSITORY / "build")).resolve()
FSVC = BUILD / "fsvc"
SERVERS = BUILD / "test" / "servers"
NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]

PR_SET_CHILD_SUBREAPER, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 36, 22, 2
PR_SET_NO_NEW_PRIVS = 38
STATMOUNT, LISTMOUNT = 457, 458  # system calls of Linux 6.8


@functools.cache
def build_options():
    """What meson was told, and what it could have been told."""
    listed = subprocess.run(["/usr/bin/meson", "introspect", "--buildoptions", BUILD], check=True, stdout=subprocess.PIPE)
    return {option["name"]: option for option in json.loads(listed.stdout)}


def build_option(name):
    return build_options()[name]["value"]


def is_sanitized():
    return build_option("b_sanitize") not in ("none", [])  # a list since meson 1.8


def wait_for(condition, patience=PATIENCE, what="it"):
    """Waits until the condition holds, and gives what it returned."""
    end = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} did not come within {patience} s"
        time.sleep(0.01)
    return found


class Result(NamedTuple):
    code: int
    output: str
    errors: str
    seconds: float

    def one_line(self):
        """The only line of standard error, which holds nothing that a terminal would obey."""
        lines = self.errors.split("\n")
        assert len(lines) == 2 and lines[1] == "" and lines[0], f"not one line: {self.errors!r}"
        assert lines[0].isprintable(), f"control characters: {self.errors!r}"
        return lines[0]


    def usage_error(self):
        """The problem that a usage error names; a second line refers to --help, as getopt and coreutils print it."""
        lines = self.errors.split("\n")
        assert len(lines) == 3 and lines[2] == "", f"not a usage error: {self.errors!r}"
        program = lines[0].partition(":")[0]
        assert lines[1] == f"Try '{program} --help' for more information."
        assert lines[0].isprintable(), f"control characters: {self.errors!r}"
        return lines[0]


class Program:
    """A process whose output goes to files, so that nobody waits for a pipe that a daemon has inherited."""

    def __init__(self, arguments, **options):
        self.files = [tempfile.TemporaryFile() for _ in range(2)]
        self.started = time.monotonic()
        streams = {"stdin": subprocess.DEVNULL, "stdout": self.files[0], "stderr": self.files[1]}
        self.process = subprocess.Popen([str(argument) for argument in arguments], **streams | options)

    @property
    def pid(self):
        return self.process.pid

    def output(self):
        """What it has written so far, on standard output and on standard error."""
        return [os.pread(file.fileno(), 1 << 20, 0).decode(errors="backslashreplace") for file in self.files]

    def runs(self):
        return self.process.poll() is None

    def exit_code(self, patience=PATIENCE):
        """After its end, which may be by a signal, and then the code is the negative number of that."""
        return self.process.wait(patience)

    def wait(self, patience=PATIENCE):
        """Its end, which must be one of its own choice."""
        code = self.exit_code(patience)
        seconds = time.monotonic() - self.started
        output, errors = self.output()
        assert code >= 0, f"killed by signal {-code}: {errors}"
        return Result(code, output, errors, seconds)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def descriptors(self):
        """What its descriptors point to."""
        return [target for pid in family(self.pid) for target in descriptors_of(pid)]

    def close(self):
        for pid in reversed(family(self.pid)) if self.runs() else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        print(*filter(None, self.output()), sep="\n")  # shown where the test has failed
        for file in self.files:
            file.close()


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


class Traces:
    """What a test must leave as it found it."""

    def __init__(self):
        self.before = self.look()

    @staticmethod
    def look():
        return {
            "mounts": sorted(map(str, mounts.mountinfo())),
            "mount table": mounts.user_table(),
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


def reap_adopted(known):
    """Buries the orphans that have ended by themselves."""
    for pid in set(own_children()) - set(known):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def wait_for_orphans(known):
    """Until all children but the known have ended, such as those that a killed program has left."""
    known = set(known)
    wait_for(lambda: not reap_adopted(known) and set(own_children()) <= known, what="the end of what was left running")


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


# starting a program in a worse world


class FilterStep(ctypes.Structure):
    """struct sock_filter"""

    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]


class Filter(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.POINTER(FilterStep))]


def without_system_call(number, error):
    """A preexec_fn under which one system call does not exist; calls after 424 have one number everywhere."""
    load, jump_if_equal, leave = 0x20, 0x15, 0x06
    steps = (FilterStep * 4)((load, 0, 0, 0), (jump_if_equal, 0, 1, number), (leave, 0, 0, 0x50000 | error),
                             (leave, 0, 0, 0x7FFF0000))
    program = Filter(len(steps), steps)

    def install():
        mounts.check(mounts.LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0))

    return install
