# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-umount waits until the server has written all data back."""

import contextlib
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from kit import utab
from kit.processes import descriptors_of, process_tree
from kit.waiting import wait_for
from kit.unprivileged_user import USER, mount_of, user_umount  # noqa: F401, fixtures
from kit.umount_fixtures import INTERRUPTED, NOT_UNMOUNTED, UMOUNT, is_unmounted
from kit.umount_fixtures import umount  # noqa: F401: fixtures


def handles_signals(pid):
    """Return true if the process has a signalfd. Before that, signals kill it."""
    return "anon_inode:[signalfd]" in descriptors_of(pid)


def test_umount_exits_after_server(recorded, run):
    with recorded() as (session, server):
        unmounting = run(*UMOUNT, session.mountpoint)
        wait_for(lambda: is_unmounted(session.mountpoint), what="the end of the mount")
        time.sleep(0.5)
        assert unmounting.runs()
        os.kill(server, signal.SIGKILL)
        assert unmounting.wait()[:3] == (0, "", "")


def test_process_with_reused_pid_is_not_waited_for(recorded, umount):
    with recorded() as (session, server):
        entry, = utab.entries_of(session.mountpoint)
        table = Path("/run/mount/utab")
        table.write_text(table.read_text().replace(entry["ATTRS"], f"fsvc.server={server}:1"))
        assert umount(session.mountpoint).code == 0


@pytest.mark.parametrize("options", [["-t", "0"], ["-t0"], ["-l"], ["-f"]], ids=" ".join)
def test_umount_does_not_wait_with_timeout_0_lazy_or_force(recorded, umount, options):
    with recorded() as (session, _):
        assert umount(*options, session.mountpoint).code == 0
        assert is_unmounted(session.mountpoint)


def test_timeout_for_server_is_reported(recorded, umount):
    with recorded() as (session, server):
        failed = umount("-t", "1", session.mountpoint)
        assert failed.code == NOT_UNMOUNTED and f"server ({server}) has not written" in failed.one_line()
        assert is_unmounted(session.mountpoint)


def test_waiting_can_be_interrupted_and_mount_is_gone(recorded, run):
    with recorded() as (session, _):
        unmounting = run(*UMOUNT, session.mountpoint)
        wait_for(lambda: handles_signals(unmounting.pid), what="the wait")
        assert is_unmounted(session.mountpoint)
        os.kill(unmounting.pid, signal.SIGINT)
        left = unmounting.wait()
        assert left.code == INTERRUPTED and "still writing" in left.one_line()


@contextlib.contextmanager
def message_on_terminal(mountpoint):
    """Yield the progress message of an unmount that succeeds in the end."""
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


def test_progress_message_names_server(recorded):
    with recorded() as (session, server):
        with message_on_terminal(session.mountpoint) as line:
            assert f"server ({server})" in line and "waiting" in line
            os.kill(server, signal.SIGKILL)


def test_progress_message_names_kernel_wait(slow, mountpoint):
    with message_on_terminal(mountpoint) as line:
        assert f"{mountpoint}: waiting for the server to write all data back" in line
        slow.service.stop_serving()


@pytest.fixture
def slow(attempt, loop):
    """A fuseblk mount whose server does not answer: umount2(2) blocks until it does."""
    session = attempt("-n", source=loop, kind="fuseblk.toy")
    session.prepare(kind=1)
    session.finish()
    session.service.begin_to_serve()
    return session


def test_umount_exits_after_kernel_has_finished(slow, run, mountpoint):
    unmounting = run(*UMOUNT, mountpoint)
    wait_for(lambda: is_unmounted(mountpoint), what="the end of the mount")
    time.sleep(0.5)
    assert unmounting.runs()
    slow.service.stop_serving()
    assert unmounting.wait()[:3] == (0, "", "")


def test_timeout_for_kernel_is_reported(slow, umount, mountpoint):
    failed = umount("-t", "1", mountpoint)
    assert failed.code == NOT_UNMOUNTED and "has not written all data back in time" in failed.one_line()
    assert is_unmounted(mountpoint)


@pytest.mark.parametrize("options", [["-t", "0"], ["-l"], ["-f"]], ids=" ".join)
def test_kernel_wait_is_skipped_with_timeout_0_lazy_or_force(slow, umount, mountpoint, options):
    assert umount(*options, mountpoint)[:3] == (0, "", "")
    assert is_unmounted(mountpoint)


def test_standard_error_is_closed_while_kernel_blocks(slow, mountpoint):
    """A reader of a pipe waits until all processes have closed it."""
    failed = subprocess.run([*UMOUNT, "-t", "1", mountpoint], capture_output=True, text=True, timeout=30)
    assert failed.returncode == NOT_UNMOUNTED and "in time" in failed.stderr


def test_kernel_wait_can_be_interrupted(slow, run, mountpoint):
    unmounting = run(*UMOUNT, mountpoint)
    wait_for(lambda: handles_signals(unmounting.pid), what="the wait")
    for pid in process_tree(unmounting.pid):  # as Ctrl-C does
        os.kill(pid, signal.SIGINT)
    left = unmounting.wait()
    assert left.code == INTERRUPTED and "is still writing data back" in left.one_line()
