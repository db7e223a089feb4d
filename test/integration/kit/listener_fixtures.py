# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-listen under test, and what can be seen of a service that it contains.

The fixtures are for the modules that import them.
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
from .processes import children_of, family
from .programs import Program
from .waiting import wait_for

FSVC_LISTEN = [FSVC, "fsvc-listen"]
USERS = range(61184, 65520)
SQUASHFUSE = ["--", "squashfuse", "-f"]
SETSOCKOPT, PIVOT_ROOT, SETHOSTNAME, GETRANDOM, LANDLOCK = 54, 155, 170, 318, 444  # of x86-64
CAP_SYS_RESOURCE = 24
NOT_EVERYWHERE = "--allow-missing=cgroup"  # a machine may use cgroups of version 1


class Listening:
    """A listener, up to the end of the test; its services end then too."""

    def __init__(self, *words, types=("squashfs",), **options):
        self.sockets = [f"{SOCKETS}/{name}" for name in types]
        before = self.inodes()
        alone = str(words[0]).startswith("--file=")
        self.program = Program([*FSVC_LISTEN, *([] if alone else [NOT_EVERYWHERE]), *words], **options)
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
        """The first process of each service."""
        return children_of(self.pid)

    def the_server(self):
        """The process that parses the image."""
        service, = self.services()
        return wait_for(lambda: family(service)[1:], what="the server")[0]

    def end(self, number=signal.SIGTERM):
        """As its administrator ends it; what it leaves is remembered."""
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


def lives(pid):
    """Whether it is there, and not only the record of its end."""
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
    """Starts a listener, which listens then."""
    return lambda *words, **options: closing(Listening(*words, **options))


@pytest.fixture
def refused(run):
    """Starts a listener that gives up: what it says."""

    def refused(*words, **options):
        result = run(*FSVC_LISTEN, *words, **options).wait()
        assert result.code == 1
        return result.errors

    return refused


@pytest.fixture
def mount(run, image, mountpoint):
    """Mounts as a person does; the helper's result."""

    def mount(*words, source=image, mountpoint=mountpoint, kind="squashfs"):
        return run(*HELPER, source, mountpoint, "-t", kind, *words).wait()

    return mount


@pytest.fixture
def mounted(listening, mount, mountpoint):
    """A listener and one mount of its."""
    listener = listening("squashfs", *SQUASHFUSE)
    succeeds(mount())
    yield listener
    if mounts.at(mountpoint):
        unmount(mountpoint)


@pytest.fixture
def server(mounted):
    """What parses the image."""
    return mounted.the_server()


def succeeds(result):
    assert (result.code, result.errors) == (0, "")


def unmount(mountpoint):
    subprocess.run([FSVC, "fsvc-umount", mountpoint], check=True, timeout=30)


def shows(mountpoint, tree):
    subprocess.run(["diff", "--recursive", "--no-dereference", tree, mountpoint], check=True, timeout=30)
