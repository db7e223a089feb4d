# SPDX-License-Identifier: LGPL-2.1-or-later
"""Source and mountpoint on a filesystem that stops answering, a network's or a server's: the helper ends in time."""

import contextlib
import re
import signal
from pathlib import Path

import pytest

from kit import mounts, protocol
from kit.processes import descriptors_of
from kit.waiting import wait_for

SECONDS, MARGIN = 4, 10  # of fsvc.timeout, and what a busy machine may need on top
IN_TIME = ["-o", f"fsvc.timeout={SECONDS}"]


class Outer:
    """The filesystem, of which the kernel keeps nothing in mind."""

    def __init__(self, run, image, place):
        self.place = place
        place.mkdir()
        self.server = run("squashfuse", "-f", "-o", "entry_timeout=0,attr_timeout=0,negative_timeout=0", image, place)
        wait_for(lambda: mounts.at(place), what="the filesystem")

    def states(self):
        tasks = Path(f"/proc/{self.server.pid}/task").iterdir()
        return [(task / "stat").read_text().rpartition(") ")[2][0] for task in tasks]

    @contextlib.contextmanager
    def silent(self):
        """What it has read by then it will answer some day, and for that the kernel lets nobody go."""
        self.server.signal(signal.SIGSTOP)
        wait_for(lambda: all(state == "T" for state in self.states()), what="silence")
        try:
            yield
        finally:
            self.server.signal(signal.SIGCONT)


@pytest.fixture
def outer(run, image, work):
    outer = Outer(run, image, work / "outer")
    yield outer
    for _ in mounts.at(outer.place):
        mounts.detach(outer.place)


def gives_up(helper):
    """In time; what it waits for in the kernel ends by nothing but its own end."""
    assert helper.process.wait(SECONDS + MARGIN) == -signal.SIGALRM


def fatal(pid, number):
    """Whether it has prepared for signals, and lets this one through all the same."""
    blocked = re.search(r"SigBlk:\s+(\S+)", Path(f"/proc/{pid}/status").read_text())[1]
    return "anon_inode:[signalfd]" in descriptors_of(pid) and not int(blocked, 16) >> number - 1 & 1


@pytest.fixture
def relative(start, outer):
    """The source is named by a relative path, of which the mount table shows the whole."""
    return lambda: start(*IN_TIME, source=f"{outer.place.name}/text", cwd=outer.place.parent).helper


def test_a_relative_source_keeps_nobody_waiting(relative, outer):
    with outer.silent():
        gives_up(relative())


def test_who_names_a_relative_source_can_end_it(relative, outer):
    with outer.silent():
        helper = relative()
        wait_for(lambda: fatal(helper.pid, signal.SIGTERM), what="the look at it")
        helper.signal(signal.SIGTERM)
        assert helper.process.wait(MARGIN) == -signal.SIGTERM


def test_a_mountpoint_keeps_nobody_waiting(start, outer):
    with outer.silent():
        gives_up(start(*IN_TIME, mountpoint=outer.place / "sub" / "bare").helper)


def test_a_file_that_is_opened_late_keeps_nobody_waiting(attempt, outer):
    begun = attempt(*IN_TIME, source=outer.place / "text")
    begun.prepare()
    with outer.silent():
        begun.service.send(protocol.open_command(begun.source))
        gives_up(begun.helper)


def test_a_mountpoint_keeps_nobody_waiting_when_the_mount_is_put_in_place(attempt, outer):
    begun = attempt(*IN_TIME, mountpoint=outer.place / "sub" / "bare")
    begun.prepare()
    with outer.silent():
        begun.service.goodbye()
        assert begun.helper.process.wait(SECONDS + MARGIN) == 0
        assert len(mounts.at(begun.mountpoint)) == 1
    begun.unmount()
