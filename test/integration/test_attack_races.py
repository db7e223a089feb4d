# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hostile caller of a set-user-ID helper swaps names while the helper looks at them."""

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
from kit.attack_fixtures import mine
from kit.attack_fixtures import home, refused, user  # noqa: F401: fixtures
from kit.unprivileged_user import USER
from kit.unprivileged_user import fuse_conf, set_user_id, user_unmounts  # noqa: F401: fixtures

TRIES = 2000


def try_once(user, source, mountpoint, cwd):
    """One run of the helper, the service being polite."""
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


def all_tries(user, source, mountpoint, tries, allowed, cwd="/"):
    """How many mounts there were, each of which was where it may be."""
    landed, before = 0, set(map(str, mounts.mountinfo()))
    for _ in range(tries):
        code = try_once(user, str(source), str(mountpoint), cwd)
        new = [mount for mount in mounts.mountinfo() if str(mount) not in before]
        assert (code == 0) == bool(new) and len(new) <= 1
        for mount in new:
            assert mount.mountpoint in map(str, allowed), f"mounted on {mount.mountpoint}"
            take_away(allowed)
        landed += len(new)
    return landed


def take_away(names):
    """Detaches the mount that is at one of the names, in this moment at either."""
    end = time.monotonic() + 5
    for name in itertools.cycle(names):
        assert time.monotonic() < end
        with contextlib.suppress(OSError):
            return mounts.detach(name)


def test_a_mountpoint_that_is_swapped_for_a_symlink_is_never_followed(user, source, work, home):
    roots = mine(work / "roots", 0, 0o755)
    ours = mine(home / "mnt", NOBODY, 0o755)
    (home / "trap").symlink_to(roots)
    with racing(ours, home / "trap", **USER) as swaps:
        landed = all_tries(user, source, ours, TRIES, [ours, home / "trap"])
    print(f"{landed} of {TRIES} mounted, {swaps[0]} swaps")
    assert swaps[0] > TRIES and 0 < landed < TRIES


@pytest.mark.parametrize("spelled", ["parent/mnt", "mnt"], ids=["the parent", "the working directory"])
def test_a_parent_that_is_swapped_for_a_symlink_leads_to_nothing_of_roots(user, source, work, home, spelled):
    mine(work / "roots", 0, 0o755)
    mine(work / "roots" / "mnt", 0, 0o755)
    mine(home / "parent", NOBODY, 0o755)
    mine(home / "parent" / "mnt", NOBODY, 0o755)
    (home / "trap").symlink_to(work / "roots")
    with racing(home / "parent", home / "trap", **USER) as swaps:
        landed = all_tries(user, source, spelled, TRIES // 4, [home / "parent" / "mnt", home / "trap" / "mnt"],
                           cwd=home if "/" in spelled else home / "parent")
    print(f"{landed} mounted, {swaps[0]} swaps")
    assert swaps[0] > TRIES and 0 < landed < TRIES // 4


def test_a_mountpoint_that_is_moved_away_is_mounted_on_where_it_is(attempt, user, work, home, source):
    mine(home / "parent", NOBODY, 0o755)
    mine(home / "parent" / "mnt", NOBODY, 0o755)
    begun = attempt(mountpoint="mnt", cwd=home / "parent", **user)
    (home / "parent").rename(home / "moved")
    (home / "parent").symlink_to(mine(work / "roots", 0, 0o755))
    mine(work / "roots" / "mnt", 0, 0o755)
    begun.place = str(home / "moved" / "mnt")
    begun.mount()
    begun.unmount()


def test_a_source_that_is_swapped_for_a_symlink_never_shows_roots_bytes(attempt, user, source, work, home):
    secret = work / "secret"
    secret.write_text("root's own")
    secret.chmod(0o600)
    ours = source.rename(home / "image")
    (home / "trap").symlink_to(secret)
    outcome = {0: 0, errno.EACCES: 0}
    with racing(ours, home / "trap", **USER) as swaps:
        opened = 0
        while opened < TRIES:
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
    assert swaps[0] > TRIES and all(outcome.values())
