# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures that start fsvc-listen, and functions that examine its services.

Modules that import these fixtures can use them.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess

import pytest

from . import mounts
from .fake_service import HELPER, SOCKETS
from .build_options import FSVC
from .processes import children_of, process_tree
from .programs import Program
from .waiting import wait_for

FSVC_LISTEN = [FSVC, "fsvc-listen"]
USERS = range(61184, 65520)
SQUASHFUSE = ["--", "squashfuse", "-f"]
SETSOCKOPT, PIVOT_ROOT, SETHOSTNAME, GETRANDOM, LANDLOCK = 54, 155, 170, 318, 444  # of x86-64
CAP_SYS_RESOURCE = 24
CGROUP_OPTIONAL = "--allow-missing=cgroup"  # the machine may use cgroup v1


class RunningListener:
    """A running fsvc-listen. It is stopped after the test, together with its services."""

    def __init__(self, *arguments, types=("squashfs",), **options):
        self.sockets = [f"{SOCKETS}/{name}" for name in types]
        before = self.inodes()
        has_file = str(arguments[0]).startswith("--file=")
        self.program = Program([*FSVC_LISTEN, *([] if has_file else [CGROUP_OPTIONAL]), *arguments], **options)
        self.left = []
        wait_for(lambda: len(self.inodes() - before) == len(types) or not self.program.runs(), what="the socket")
        assert self.program.runs(), self.said()

    def inodes(self):
        return {os.stat(path).st_ino for path in self.sockets if os.path.exists(path)}

    @property
    def pid(self):
        return self.program.pid

    def said(self):
        return self.program.output()[1]

    def services(self):
        """Return the first process of each service."""
        return children_of(self.pid)

    def server_pid(self):
        """Return the pid of the only server, which parses the image."""
        service, = self.services()
        return wait_for(lambda: process_tree(service)[1:], what="the server")[0]

    def end(self, number=signal.SIGTERM):
        """Stop the listener with a signal, and remember its services."""
        self.left += self.services()
        self.program.signal(number)
        return self.program.wait()

    def close(self):
        left = self.left + (self.services() if self.program.runs() else [])
        self.program.close()
        for path in [*self.sockets, f"{SOCKETS}/.lock"]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def is_running(pid):
    """Return true if the process is running. A zombie is not."""
    try:
        return status(pid)["State"][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def connect(name="squashfs"):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(f"{SOCKETS}/{name}")
    return connection


def status(pid):
    with open(f"/proc/{pid}/status") as lines:
        return dict(re.findall(r"^(\w+):[ \t]*(.*)$", lines.read(), re.M))


def hard_limits(pid):
    with open(f"/proc/{pid}/limits") as lines:
        return {line[:26].strip(): line[26:].split()[1] for line in list(lines)[1:]}


def seen_mounts(pid):
    return {mount.mountpoint: mount for mount in mounts.mountinfo(pid)}


def has_no_capability(pid):
    found = status(pid)
    return {found[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}


@pytest.fixture
def listening(closing):
    """Start a listener, and wait until it listens."""
    return lambda *arguments, **options: closing(RunningListener(*arguments, **options))


@pytest.fixture
def refused(run):
    """Start a listener that fails. Return its error messages."""

    def refused(*arguments, **options):
        result = run(*FSVC_LISTEN, *arguments, **options).wait()
        assert result.code == 1
        return result.errors

    return refused


@pytest.fixture
def mount(run, image, mountpoint):
    """Mount as a user does. Return the result of the helper."""

    def mount(*arguments, source=image, mountpoint=mountpoint, kind="squashfs"):
        return run(*HELPER, source, mountpoint, "-t", kind, *arguments).wait()

    return mount


@pytest.fixture
def mounted(listening, mount, mountpoint):
    """A listener with one mount."""
    listener = listening("squashfs", *SQUASHFUSE)
    assert_success(mount())
    yield listener
    if mounts.at(mountpoint):
        unmount(mountpoint)


@pytest.fixture
def server(mounted):
    """The pid of the server, which parses the image."""
    return mounted.server_pid()


def assert_success(result):
    assert (result.code, result.errors) == (0, "")


def unmount(mountpoint):
    subprocess.run([FSVC, "fsvc-umount", mountpoint], check=True, timeout=30)


def assert_same_tree(mountpoint, tree):
    subprocess.run(["diff", "--recursive", "--no-dereference", tree, mountpoint], check=True, timeout=30)
