# SPDX-License-Identifier: LGPL-2.1-or-later
"""Source and mountpoint on a filesystem that stops answering: the helper exits in time."""

import contextlib
import re
import signal
from pathlib import Path

import pytest

from kit import mounts, protocol
from kit.processes import descriptors_of
from kit.waiting import wait_for

TIMEOUT_S, MARGIN_S = 4, 10  # fsvc.timeout, and additional time on a busy machine
TIMEOUT_OPTION = ["-o", f"fsvc.timeout={TIMEOUT_S}"]


class HangingFilesystem:
    """A FUSE mount without caching in the kernel."""

    def __init__(self, run, image, path):
        self.path = path
        path.mkdir()
        self.server = run("squashfuse", "-f", "-o", "entry_timeout=0,attr_timeout=0,negative_timeout=0", image, path)
        wait_for(lambda: mounts.at(path), what="the filesystem")

    def states(self):
        tasks = Path(f"/proc/{self.server.pid}/task").iterdir()
        return [(task / "stat").read_text().rpartition(") ")[2][0] for task in tasks]

    @contextlib.contextmanager
    def suspended(self):
        """Stop the server. A process that waits for its reply can only be killed by a is_fatal signal."""
        self.server.signal(signal.SIGSTOP)
        wait_for(lambda: all(state == "T" for state in self.states()), what="a stopped server")
        try:
            yield
        finally:
            self.server.signal(signal.SIGCONT)


@pytest.fixture
def outer(run, image, work):
    outer = HangingFilesystem(run, image, work / "outer")
    yield outer
    for _ in mounts.at(outer.path):
        mounts.detach(outer.path)


def assert_killed_by_alarm(helper):
    """Check that the helper exits in time by SIGALRM, which ends also waits in the kernel."""
    assert helper.process.wait(TIMEOUT_S + MARGIN_S) == -signal.SIGALRM


def is_fatal(pid, number):
    """Return true if the process has a signalfd but does not block this signal."""
    blocked = re.search(r"SigBlk:\s+(\S+)", Path(f"/proc/{pid}/status").read_text())[1]
    return "anon_inode:[signalfd]" in descriptors_of(pid) and not int(blocked, 16) >> number - 1 & 1


@pytest.fixture
def start_with_relative_source(start, outer):
    """Start the helper with a start_with_relative_source source, whose absolute path is needed for the mount table."""
    return lambda: start(*TIMEOUT_OPTION, source=f"{outer.path.name}/text", cwd=outer.path.parent).helper


def test_lookup_of_relative_source_ends_in_time(start_with_relative_source, outer):
    with outer.suspended():
        assert_killed_by_alarm(start_with_relative_source())


def test_lookup_of_relative_source_is_ended_by_sigterm(start_with_relative_source, outer):
    with outer.suspended():
        helper = start_with_relative_source()
        wait_for(lambda: is_fatal(helper.pid, signal.SIGTERM), what="the lookup")
        helper.signal(signal.SIGTERM)
        assert helper.process.wait(MARGIN_S) == -signal.SIGTERM


def test_lookup_of_mountpoint_ends_in_time(start, outer):
    with outer.suspended():
        assert_killed_by_alarm(start(*TIMEOUT_OPTION, mountpoint=outer.path / "sub" / "bare").helper)


def test_later_open_of_source_ends_in_time(attempt, outer):
    session = attempt(*TIMEOUT_OPTION, source=outer.path / "text")
    session.prepare()
    with outer.suspended():
        session.service.send(protocol.open_command(session.source))
        assert_killed_by_alarm(session.helper)


def test_attaching_mount_ends_in_time(attempt, outer):
    session = attempt(*TIMEOUT_OPTION, mountpoint=outer.path / "sub" / "bare")
    session.prepare()
    with outer.suspended():
        session.service.goodbye()
        assert session.helper.process.wait(TIMEOUT_S + MARGIN_S) == 0
        assert len(mounts.at(session.mountpoint)) == 1
    session.unmount()
