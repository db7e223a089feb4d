# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-umount with busy mounts, and with servers that hang or have died."""

import os
import signal
import subprocess

import pytest

from kit import mounts
from kit.waiting import wait_for
from kit.unprivileged_user import USER, mount_of, user_umount  # noqa: F401, fixtures
from kit.umount_fixtures import NOT_UNMOUNTED, is_unmounted
from kit.umount_fixtures import mount_without_fsvc, umount  # noqa: F401: fixtures


def test_processes_that_use_mount_are_named(mount_without_fsvc, umount, mountpoint):
    mount_without_fsvc(mountpoint)
    with open(mountpoint / "text") as held, subprocess.Popen(["sleep", "100"], cwd=mountpoint) as sleeper:
        failed = umount(mountpoint)
        assert failed.code == NOT_UNMOUNTED
        line = failed.one_line()
        assert f"sleep ({sleeper.pid})" in line and f"({os.getpid()})" in line and held
        sleeper.kill()
    assert umount(mountpoint).code == 0


def test_mount_on_mount_is_named(mount_without_fsvc, umount, mountpoint, tree):
    mount_without_fsvc(mountpoint)
    with mounts.tmpfs(mountpoint / "sub"):
        failed = umount(mountpoint)
        assert failed.code == NOT_UNMOUNTED and f"the mount on {mountpoint}/sub" in failed.one_line()
    assert umount(mountpoint).code == 0


def test_quiet_prints_nothing(mount_without_fsvc, umount, mountpoint):
    mount_without_fsvc(mountpoint)
    with open(mountpoint / "text"):
        assert umount("-q", mountpoint)[:3] == (NOT_UNMOUNTED, "", "")
    assert umount(mountpoint).code == 0


def test_busy_mount_is_unmounted_lazily(mount_without_fsvc, umount, mountpoint):
    server = mount_without_fsvc(mountpoint)
    with open(mountpoint / "text") as held:
        assert umount("-l", mountpoint).code == 0
        assert is_unmounted(mountpoint)
        assert held.read() == "the same everywhere\n"
    wait_for(lambda: not server.runs(), what="the end of the server")


@pytest.mark.parametrize("how", [("-lf",), ("-fl",), ("-l", "-f"), ("-f", "-l")], ids=" ".join)
def test_busy_mount_of_hanging_server_is_unmounted_by_force_and_lazily(mount_without_fsvc, umount, mountpoint, how):
    server = mount_without_fsvc(mountpoint)
    held = os.open(mountpoint, os.O_PATH)
    try:
        os.kill(server.pid, signal.SIGSTOP)
        assert umount(*how, mountpoint).code == 0
        assert is_unmounted(mountpoint)
        # The connection was aborted: a lookup fails at once.
        looked = subprocess.run(["ls", f"/proc/{os.getpid()}/fd/{held}/sub"], timeout=60, capture_output=True, text=True)
        assert "not connected" in looked.stderr
    finally:
        os.close(held)
        os.kill(server.pid, signal.SIGCONT)


@pytest.mark.parametrize("how", [(), ("-f",), ("-l",)], ids=" ".join)
def test_hanging_server_does_not_block_unmounting(mount_without_fsvc, umount, mountpoint, how):
    server = mount_without_fsvc(mountpoint)
    os.kill(server.pid, signal.SIGSTOP)
    assert umount(*how, mountpoint).code == 0
    assert is_unmounted(mountpoint)
    os.kill(server.pid, signal.SIGCONT)


def test_mount_of_dead_server_is_unmounted(recorded, mount_without_fsvc, umount, mountpoint):
    server = mount_without_fsvc(mountpoint)
    server.kill()
    with pytest.raises(OSError, match="not connected"):
        os.stat(mountpoint)
    assert umount(mountpoint).code == 0
    assert is_unmounted(mountpoint)


def test_mount_inside_fuse_mount_is_unmounted(mount_without_fsvc, umount, mountpoint, tree):
    mount_without_fsvc(mountpoint)
    inner = mountpoint / "sub/bare"  # libfuse 2 requires an empty directory
    mount_without_fsvc(inner)
    assert umount(inner).code == 0
    assert is_unmounted(inner) and len(mounts.at(mountpoint)) == 1
    assert umount(mountpoint).code == 0
