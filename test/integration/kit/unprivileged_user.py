# SPDX-License-Identifier: LGPL-2.1-or-later
"""A set-user-ID program, and a person who is not root and calls it.

The fixtures are for the modules that import them.
"""

import contextlib
import os
import shutil
import stat

import pytest

from . import mounts
from .build_options import FSVC
from .programs import AS_NOBODY, NOBODY

INSTALLED = os.environ.get("FSVC_INSTALLED")  # the executable that a system has, set-user-ID, or one is made
USER = {"user": NOBODY, "group": NOBODY, "extra_groups": []}  # of subprocess: no program in between


@pytest.fixture
def fuse_conf(work):
    """Puts other words into fuse.conf, for this namespace alone; there are none at first."""
    ours = work / "fuse.conf"
    ours.touch()
    mounts.mount(ours, "/etc/fuse.conf", None, mounts.BIND)
    yield ours.write_text
    mounts.detach("/etc/fuse.conf")


def with_privilege(program):
    if INSTALLED:
        assert os.stat(INSTALLED).st_mode & stat.S_ISUID
        program.symlink_to(INSTALLED)
    else:
        shutil.copy(FSVC, program)
        os.chmod(program, 0o4755)
    return program


@pytest.fixture
def set_user_id(fuse_conf, work, source, mountpoint):
    """A set-user-ID helper, and a user who owns the source and the mountpoint."""
    programs = work / "programs"
    programs.mkdir()
    for path in source, mountpoint:
        os.chown(path, NOBODY, NOBODY)
    with mounts.tmpfs(programs):
        mounts.mount(None, programs, None, mounts.REMOUNT | mounts.BIND)  # without nosuid and nodev
        helper = with_privilege(programs / "fuservicemount3")
        (programs / "mount.fuse3").symlink_to("fuservicemount3")
        with device_for_everybody(programs / "fuse"):
            yield helper


@pytest.fixture
def as_user(listen, set_user_id):
    """What makes an attempt one of the user."""
    return {"command": [*AS_NOBODY, set_user_id], "listener": listen(mode=0o222)}


@contextlib.contextmanager
def device_for_everybody(path):
    """/dev/fuse as udev makes it elsewhere, for this namespace alone."""
    os.mknod(path, stat.S_IFCHR, os.stat("/dev/fuse").st_rdev)
    os.chmod(path, 0o666)
    mounts.mount(path, "/dev/fuse", None, mounts.BIND)
    try:
        yield
    finally:
        mounts.detach("/dev/fuse")


@pytest.fixture
def user_unmounts(work):
    """A set-user-ID fsvc-umount in the hands of somebody."""
    programs = work / "programs"
    programs.mkdir()
    with mounts.tmpfs(programs):
        mounts.mount(None, programs, None, mounts.REMOUNT | mounts.BIND)
        yield [*AS_NOBODY, with_privilege(programs / "fsvc-umount")]


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
