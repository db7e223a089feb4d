# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-umount waits until the server has written everything back."""

import contextlib
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from kit import utab
from kit.processes import descriptors_of, family
from kit.waiting import wait_for
from kit.unprivileged_user import USER, mount_of, user_unmounts  # noqa: F401, fixtures
from kit.umount_fixtures import INTERRUPTED, NOT_UNMOUNTED, UMOUNT, gone
from kit.umount_fixtures import umount  # noqa: F401: fixtures


def listens_to_signals(pid):
    """Before, a signal ends it as it ends any program."""
    return "anon_inode:[signalfd]" in descriptors_of(pid)


def test_it_ends_when_the_server_has_and_not_before(recorded, run):
    with recorded() as (begun, server):
        unmounting = run(*UMOUNT, begun.mountpoint)
        wait_for(lambda: gone(begun.mountpoint), what="the end of the mount")
        time.sleep(0.5)
        assert unmounting.runs()
        os.kill(server, signal.SIGKILL)
        assert unmounting.wait()[:3] == (0, "", "")


def test_a_number_that_another_process_has_by_now_is_not_waited_for(recorded, umount):
    with recorded() as (begun, server):
        entry, = utab.entries_of(begun.mountpoint)
        table = Path("/run/mount/utab")
        table.write_text(table.read_text().replace(entry["ATTRS"], f"fsvc.server={server}:1"))
        assert umount(begun.mountpoint).code == 0


@pytest.mark.parametrize("words", [["-t", "0"], ["-t0"], ["-l"], ["-f"]], ids=" ".join)
def test_who_does_not_want_to_wait_does_not(recorded, umount, words):
    with recorded() as (begun, _):
        assert umount(*words, begun.mountpoint).code == 0
        assert gone(begun.mountpoint)


def test_a_limit_is_kept_and_named(recorded, umount):
    with recorded() as (begun, server):
        failed = umount("-t", "1", begun.mountpoint)
        assert failed.code == NOT_UNMOUNTED and f"server ({server}) has not written" in failed.one_line()
        assert gone(begun.mountpoint)


def test_who_waits_can_leave_and_the_unmounting_goes_on(recorded, run):
    with recorded() as (begun, _):
        unmounting = run(*UMOUNT, begun.mountpoint)
        wait_for(lambda: listens_to_signals(unmounting.pid), what="the wait")
        assert gone(begun.mountpoint)
        os.kill(unmounting.pid, signal.SIGINT)
        left = unmounting.wait()
        assert left.code == INTERRUPTED and "still writing" in left.one_line()


@contextlib.contextmanager
def told_at_a_terminal(mountpoint):
    """What a person is told while the unmounting goes on, which succeeds in the end."""
    terminal, other = pty.openpty()
    with subprocess.Popen([*UMOUNT, mountpoint], stderr=other) as unmounting:
        os.close(other)
        try:
            yield os.read(terminal, 4096).decode()
        except BaseException:
            unmounting.kill()  # or this process would wait for it without end
            raise
    assert unmounting.returncode == 0
    os.close(terminal)


def test_a_person_at_a_terminal_reads_what_is_waited_for(recorded):
    with recorded() as (begun, server):
        with told_at_a_terminal(begun.mountpoint) as line:
            assert f"server ({server})" in line and "waiting" in line
            os.kill(server, signal.SIGKILL)


def test_a_person_reads_what_the_kernel_waits_for(slow, mountpoint):
    with told_at_a_terminal(mountpoint) as line:
        assert f"{mountpoint}: waiting for the server to write all data back" in line
        slow.service.stop_serving()


@pytest.fixture
def slow(attempt, loop):
    """A block device's mount: the kernel keeps who unmounts it until the server has answered, which it does not."""
    begun = attempt("-n", source=loop, kind="fuseblk.toy")
    begun.prepare(kind=1)
    begun.finish()
    begun.service.begin_to_serve()
    return begun


def test_it_ends_when_the_kernel_has_done_with_the_mount_and_not_before(slow, run, mountpoint):
    unmounting = run(*UMOUNT, mountpoint)
    wait_for(lambda: gone(mountpoint), what="the end of the mount")
    time.sleep(0.5)
    assert unmounting.runs()
    slow.service.stop_serving()
    assert unmounting.wait()[:3] == (0, "", "")


def test_a_limit_is_kept_for_what_the_kernel_waits_for(slow, umount, mountpoint):
    failed = umount("-t", "1", mountpoint)
    assert failed.code == NOT_UNMOUNTED and "has not written all data back in time" in failed.one_line()
    assert gone(mountpoint)


@pytest.mark.parametrize("words", [["-t", "0"], ["-l"], ["-f"]], ids=" ".join)
def test_who_does_not_want_to_wait_is_not_kept_by_the_kernel(slow, umount, mountpoint, words):
    assert umount(*words, mountpoint)[:3] == (0, "", "")
    assert gone(mountpoint)


def test_who_reads_what_it_says_is_not_kept_by_the_kernel(slow, mountpoint):
    """The end of a pipe is when nobody has it open any more."""
    failed = subprocess.run([*UMOUNT, "-t", "1", mountpoint], capture_output=True, text=True, timeout=30)
    assert failed.returncode == NOT_UNMOUNTED and "in time" in failed.stderr


def test_who_is_kept_by_the_kernel_can_leave(slow, run, mountpoint):
    unmounting = run(*UMOUNT, mountpoint)
    wait_for(lambda: listens_to_signals(unmounting.pid), what="the wait")
    for pid in family(unmounting.pid):  # a Ctrl-C is for all at the terminal
        os.kill(pid, signal.SIGINT)
    left = unmounting.wait()
    assert left.code == INTERRUPTED and "is still writing data back" in left.one_line()
