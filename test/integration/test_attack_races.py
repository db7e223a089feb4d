# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attacks on a set-user-ID helper: file names are swapped between their check and their use."""

import contextlib
import errno
import itertools
import os
import subprocess
import time

import pytest

from kit import mounts, protocol
from kit.channel import HungUp
from kit.programs import NOBODY
from kit.name_swapper import racing
from kit.attack_fixtures import make_directory
from kit.attack_fixtures import home, refused, user  # noqa: F401: fixtures
from kit.unprivileged_user import USER
from kit.unprivileged_user import fuse_conf, set_user_id, user_umount  # noqa: F401: fixtures

RACE_ATTEMPTS = 2000


def try_once(user, source, mountpoint, cwd):
    """Run the helper once. The service completes the session correctly."""
    helper = subprocess.Popen([*user["command"], source, mountpoint, "-n", "-t", "fuse.toy"], cwd=cwd, **USER,
                              stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    listener = user["listener"]
    while not listener.waits(0.001) and helper.poll() is None:
        pass
    if listener.waits():
        service = listener.accept(0)
        with contextlib.suppress(HungUp):
            service.handshake()
            for command in protocol.name(source), protocol.mntp(mountpoint), protocol.doit():
                service.command(command)
            service.goodbye()
        helper.wait(60)
        service.close()
    return helper.wait(60)


def count_mounts(user, source, mountpoint, tries, allowed, cwd="/"):
    """Run the helper many times. Check that each mount is on one of the ALLOWED paths, and return the number of mounts."""
    mount_count, before = 0, set(map(str, mounts.mountinfo()))
    for _ in range(tries):
        code = try_once(user, str(source), str(mountpoint), cwd)
        new = [mount for mount in mounts.mountinfo() if str(mount) not in before]
        assert (code == 0) == bool(new) and len(new) <= 1
        for mount in new:
            assert mount.mountpoint in map(str, allowed), f"mounted on {mount.mountpoint}"
            detach_mount(allowed)
        mount_count += len(new)
    return mount_count


def detach_mount(names):
    """Detach the mount, which is at any of the paths at this moment."""
    end = time.monotonic() + 5
    for name in itertools.cycle(names):
        assert time.monotonic() < end
        with contextlib.suppress(OSError):
            return mounts.detach(name)


def test_mountpoint_swapped_for_symlink_is_not_followed(user, source, work, home):
    roots = make_directory(work / "roots", 0, 0o755)
    ours = make_directory(home / "mnt", NOBODY, 0o755)
    (home / "trap").symlink_to(roots)
    with racing(ours, home / "trap", **USER) as swaps:
        mount_count = count_mounts(user, source, ours, RACE_ATTEMPTS, [ours, home / "trap"])
    print(f"{mount_count} of {RACE_ATTEMPTS} mounted, {swaps[0]} swaps")
    assert swaps[0] > RACE_ATTEMPTS and 0 < mount_count < RACE_ATTEMPTS


@pytest.mark.parametrize("path", ["parent/mnt", "mnt"], ids=["parent directory", "working directory"])
def test_parent_directory_swapped_for_symlink_does_not_lead_to_directory_of_root(user, source, work, home, path):
    make_directory(work / "roots", 0, 0o755)
    make_directory(work / "roots" / "mnt", 0, 0o755)
    make_directory(home / "parent", NOBODY, 0o755)
    make_directory(home / "parent" / "mnt", NOBODY, 0o755)
    (home / "trap").symlink_to(work / "roots")
    with racing(home / "parent", home / "trap", **USER) as swaps:
        mount_count = count_mounts(user, source, path, RACE_ATTEMPTS // 4, [home / "parent" / "mnt", home / "trap" / "mnt"],
                           cwd=home if "/" in path else home / "parent")
    print(f"{mount_count} mounted, {swaps[0]} swaps")
    assert swaps[0] > RACE_ATTEMPTS and 0 < mount_count < RACE_ATTEMPTS // 4


def test_renamed_mountpoint_is_mounted_on_at_its_new_path(attempt, user, work, home, source):
    make_directory(home / "parent", NOBODY, 0o755)
    make_directory(home / "parent" / "mnt", NOBODY, 0o755)
    session = attempt(mountpoint="mnt", cwd=home / "parent", **user)
    (home / "parent").rename(home / "moved")
    (home / "parent").symlink_to(make_directory(work / "roots", 0, 0o755))
    make_directory(work / "roots" / "mnt", 0, 0o755)
    session.absolute_mountpoint = str(home / "moved" / "mnt")
    session.mount()
    session.unmount()


def test_source_swapped_for_symlink_does_not_give_access_to_file_of_root(attempt, user, source, work, home):
    secret = work / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    ours = source.rename(home / "image")
    (home / "trap").symlink_to(secret)
    outcome = {0: 0, errno.EACCES: 0}
    with racing(ours, home / "trap", **USER) as swaps:
        opened = 0
        while opened < RACE_ATTEMPTS:
            service = attempt(source=ours, **user).service
            with contextlib.suppress(HungUp):
                for _ in range(100):
                    found = service.open(ours)
                    opened += 1
                    outcome[found.error] += 1
                    if found.descriptor is not None:
                        assert os.pread(found.descriptor, 4, 0) == bytes(range(4))
                        service.drop(found.descriptor)
            service.hang_up()
    print(outcome, swaps)
    assert swaps[0] > RACE_ATTEMPTS and all(outcome.values())
