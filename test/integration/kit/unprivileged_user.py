# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures for set-user-ID programs that are called by an unprivileged user.

Modules that import these fixtures can use them.
"""

import contextlib
import os
import shutil
import stat

import pytest

from . import mounts
from .build_options import FSVC
from .programs import AS_NOBODY, NOBODY

INSTALLED = os.environ.get("FSVC_INSTALLED")  # an installed set-user-ID executable (default: a copy of the build's)
USER = {"user": NOBODY, "group": NOBODY, "extra_groups": []}  # arguments of subprocess


@pytest.fixture
def fuse_conf(work):
    """Replace fuse.conf in this mount namespace. It is empty at first."""
    replacement = work / "fuse.conf"
    replacement.touch()
    mounts.mount(replacement, "/etc/fuse.conf", None, mounts.BIND)
    yield replacement.write_text
    mounts.detach("/etc/fuse.conf")


def install_set_user_id(program):
    if INSTALLED:
        assert os.stat(INSTALLED).st_mode & stat.S_ISUID
        program.symlink_to(INSTALLED)
    else:
        shutil.copy(FSVC, program)
        os.chmod(program, 0o4755)
    return program


@pytest.fixture
def set_user_id(fuse_conf, work, source, mountpoint):
    """A set-user-ID helper, and a source and a mountpoint that belong to the user."""
    programs = work / "programs"
    programs.mkdir()
    for path in source, mountpoint:
        os.chown(path, NOBODY, NOBODY)
    with mounts.tmpfs(programs):
        mounts.mount(None, programs, None, mounts.REMOUNT | mounts.BIND)  # remount without nosuid and nodev
        helper = install_set_user_id(programs / "fuservicemount3")
        (programs / "mount.fuse3").symlink_to("fuservicemount3")
        with world_writable_fuse_device(programs / "fuse"):
            yield helper


@pytest.fixture
def as_user(listen, set_user_id):
    """Options of a session in which an unprivileged user runs the helper."""
    return {"command": [*AS_NOBODY, set_user_id], "listener": listen(mode=0o222)}


@contextlib.contextmanager
def world_writable_fuse_device(path):
    """Let all users open /dev/fuse, as on most systems, in this mount namespace."""
    os.mknod(path, stat.S_IFCHR, os.stat("/dev/fuse").st_rdev)
    os.chmod(path, 0o666)
    mounts.mount(path, "/dev/fuse", None, mounts.BIND)
    try:
        yield
    finally:
        mounts.detach("/dev/fuse")


@pytest.fixture
def user_umount(work):
    """The command with which an unprivileged user runs a set-user-ID fsvc-umount."""
    programs = work / "programs"
    programs.mkdir()
    with mounts.tmpfs(programs):
        mounts.mount(None, programs, None, mounts.REMOUNT | mounts.BIND)
        yield [*AS_NOBODY, install_set_user_id(programs / "fsvc-umount")]


@contextlib.contextmanager
def mount_of(user, mountpoint):
    device = os.open("/dev/fuse", os.O_RDWR)
    mounts.mount("somewhere", mountpoint, "fuse.toy", mounts.NOSUID | mounts.NODEV,
                 f"fd={device},rootmode=40000,user_id={user},group_id={user}")
    try:
        yield
    finally:
        for _ in mounts.at(mountpoint):
            mounts.detach(mountpoint)
        os.close(device)
