# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-umount: mounts that are busy, and servers that hang or are dead."""

import os
import signal
import subprocess

import pytest

from kit import mounts
from kit.waiting import wait_for
from kit.unprivileged_user import USER, mount_of, user_unmounts  # noqa: F401, fixtures
from kit.umount_fixtures import NOT_UNMOUNTED, gone
from kit.umount_fixtures import by_hand, umount  # noqa: F401: fixtures


def test_who_keeps_it_busy_is_named(by_hand, umount, mountpoint):
    by_hand(mountpoint)
    with open(mountpoint / "text") as held, subprocess.Popen(["sleep", "100"], cwd=mountpoint) as sleeper:
        failed = umount(mountpoint)
        assert failed.code == NOT_UNMOUNTED
        line = failed.one_line()
        assert f"sleep ({sleeper.pid})" in line and f"({os.getpid()})" in line and held
        sleeper.kill()
    assert umount(mountpoint).code == 0


def test_a_mount_on_it_is_named(by_hand, umount, mountpoint, tree):
    by_hand(mountpoint)
    with mounts.tmpfs(mountpoint / "sub"):
        failed = umount(mountpoint)
        assert failed.code == NOT_UNMOUNTED and f"the mount on {mountpoint}/sub" in failed.one_line()
    assert umount(mountpoint).code == 0


def test_quiet_says_nothing(by_hand, umount, mountpoint):
    by_hand(mountpoint)
    with open(mountpoint / "text"):
        assert umount("-q", mountpoint)[:3] == (NOT_UNMOUNTED, "", "")
    assert umount(mountpoint).code == 0


def test_a_busy_mount_leaves_lazily(by_hand, umount, mountpoint):
    server = by_hand(mountpoint)
    with open(mountpoint / "text") as held:
        assert umount("-l", mountpoint).code == 0
        assert gone(mountpoint)
        assert held.read() == "the same everywhere\n"
    wait_for(lambda: not server.runs(), what="the end of the server")


@pytest.mark.parametrize("how", [("-lf",), ("-fl",), ("-l", "-f"), ("-f", "-l")], ids=" ".join)
def test_a_busy_mount_of_a_server_that_hangs_leaves_by_both(by_hand, umount, mountpoint, how):
    server = by_hand(mountpoint)
    held = os.open(mountpoint, os.O_PATH)
    try:
        os.kill(server.pid, signal.SIGSTOP)
        assert umount(*how, mountpoint).code == 0
        assert gone(mountpoint)
        # Ended by force: who looks is not kept waiting.
        looked = subprocess.run(["ls", f"/proc/{os.getpid()}/fd/{held}/sub"], timeout=60, capture_output=True, text=True)
        assert "not connected" in looked.stderr
    finally:
        os.close(held)
        os.kill(server.pid, signal.SIGCONT)


@pytest.mark.parametrize("how", [(), ("-f",), ("-l",)], ids=" ".join)
def test_a_server_that_hangs_keeps_nobody_waiting(by_hand, umount, mountpoint, how):
    server = by_hand(mountpoint)
    os.kill(server.pid, signal.SIGSTOP)
    assert umount(*how, mountpoint).code == 0
    assert gone(mountpoint)
    os.kill(server.pid, signal.SIGCONT)


def test_what_a_dead_server_has_left_is_cleaned_up(recorded, by_hand, umount, mountpoint):
    server = by_hand(mountpoint)
    server.kill()
    with pytest.raises(OSError, match="not connected"):
        os.stat(mountpoint)
    assert umount(mountpoint).code == 0
    assert gone(mountpoint)


def test_it_reaches_into_other_fuse_mounts(by_hand, umount, mountpoint, tree):
    by_hand(mountpoint)
    inner = mountpoint / "sub/bare"  # libfuse 2 mounts on nothing else
    by_hand(inner)
    assert umount(inner).code == 0
    assert gone(inner) and len(mounts.at(mountpoint)) == 1
    assert umount(mountpoint).code == 0
