# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hostile caller of a set-user-ID helper tries to mount or unmount what is not theirs."""

import os
import pathlib

import pytest

from kit import mounts, protocol
from kit.programs import NOBODY
from kit.attack_fixtures import MOUNT_FAILED, NOT_YOURS, mine
from kit.attack_fixtures import by_mount, record, refused, user  # noqa: F401: fixtures
from kit.unprivileged_user import USER, mount_of
from kit.unprivileged_user import fuse_conf, set_user_id, user_unmounts  # noqa: F401: fixtures


@pytest.mark.parametrize("owner, mode", [(0, 0o755), (0, 0o775), (0, 0o1777), (1, 0o1777), (NOBODY, 0o555)], ids=str)
def test_a_user_mounts_on_no_directory_that_is_not_theirs_to_change(refused, work, owner, mode):
    assert "cannot mount on" in refused(mountpoint=mine(work / "place", owner, mode))


def test_a_user_mounts_on_their_own_sticky_directory(attempt, user, work):
    begun = attempt(mountpoint=mine(work / "place", NOBODY, 0o1777), **user)
    begun.mount()
    begun.unmount()


def test_a_user_mounts_on_no_file_that_they_may_only_read(refused, work):
    (work / "file").touch(0o644)
    assert "cannot mount on" in refused(mountpoint=work / "file")


@pytest.mark.parametrize("place", ["/proc", "/proc/PID", "/proc/PID/comm", "/proc/PID/attr/current", "/proc/PID/fd",
                                   "/proc/self/comm", "/proc/self/cwd", "/proc/self/exe", "/sys", "/sys/kernel"])
def test_a_user_mounts_on_nothing_that_the_kernel_shows(refused, run, place):
    sleeper = run("sleep", "60", **USER)
    assert "cannot mount on" in refused(mountpoint=place.replace("PID", str(sleeper.pid)))


def test_a_user_mounts_no_more_than_fuse_conf_allows(attempt, user, refused, fuse_conf, work):
    here = sum(mount.type.startswith("fuse") and mount.type != "fusectl" for mount in mounts.mountinfo())
    fuse_conf(f"mount_max = {here + 1}\n")
    begun = attempt(**user)
    begun.mount()
    assert "mount_max" in refused(mountpoint=mine(work / "other", NOBODY, 0o755))
    begun.unmount()


@pytest.mark.parametrize("option", ["allow_other", "allow_root"])
def test_a_user_lets_nobody_in_without_fuse_conf(refused, option):
    refused("-o", option, commands=[protocol.opts("allow_other")])


@pytest.mark.parametrize("words", [["-o", "suid,dev"], ["-o", "suid", "-o", "dev"],
                                   ["-o", "nosuid,suid,nodev,dev"]], ids=str)
@pytest.mark.parametrize("kind", ["fuse.toy", "fuseblk.toy"])
def test_a_user_gets_no_suid_no_dev_and_no_fuseblk(start, user, words, kind):
    begun = start(*words, kind=kind, **user)
    begun.try_to_mount()
    begun.helper.wait()
    for mount in mounts.at(begun.place):
        assert {"nosuid", "nodev"} <= mount.flags and mount.type == "fuse.toy"
        begun.unmount()


# only their own mounts


@pytest.mark.parametrize("how", [(), ("-l",), ("-f",)], ids=" ".join)
@pytest.mark.parametrize("owner", [0, 1, 6553, 655341])
def test_a_user_unmounts_nothing_of_anybody_else(user_unmounts, run, mountpoint, owner, how):
    with mount_of(owner, mountpoint):
        failed = run(*user_unmounts, *how, mountpoint).wait()
        assert failed.code == NOT_YOURS and "mounted by another user" in failed.one_line()
        assert len(mounts.at(mountpoint)) == 1


@pytest.mark.parametrize("how", [(), ("-l",), ("-f",), ("-lf",)], ids=" ".join)
def test_a_user_unmounts_nothing_that_is_on_top_of_theirs(user_unmounts, run, mountpoint, how):
    with mount_of(NOBODY, mountpoint):
        held = os.open(mountpoint, os.O_PATH)
        try:
            with mounts.tmpfs(mountpoint):
                failed = run(*user_unmounts, *how, f"/proc/self/fd/{held}", pass_fds=[held]).wait()
                assert failed.code == MOUNT_FAILED and failed.one_line()
                assert [mount.type for mount in mounts.at(mountpoint)] == ["fuse.toy", "tmpfs"]
        finally:
            os.close(held)


# mount.fuse3


def test_a_user_mounts_by_mount_fuse3_through_the_service(attempt, user, set_user_id):
    begun = attempt(**user | {"command": [pathlib.Path(set_user_id).with_name("mount.fuse3")]})
    assert begun.service.hello.flags == 0
    mount = begun.mount()
    assert {f"user_id={NOBODY}", f"group_id={NOBODY}"} <= mount.options and {"nosuid", "nodev"} <= mount.flags
    begun.unmount()


def test_a_server_without_a_service_is_the_callers_own(by_mount, source, mountpoint):
    seen = by_mount(f"recorder#{source}", mountpoint)[1]
    assert {seen[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert seen["Uid"].split() == seen["Gid"].split() == [str(NOBODY)] * 4
    assert seen["NoNewPrivs"] == "0"  # or its fusermount3 could not mount


@pytest.mark.parametrize("namespace", ["PID", "/proc/PID/ns/mnt", "/proc/self/ns/mnt", "1"])
def test_a_user_enters_no_namespace(by_mount, run, source, mountpoint, namespace):
    sleeper = run("sleep", "60", **USER)
    result, seen = by_mount(f"recorder#{source}", mountpoint, "-N", namespace.replace("PID", str(sleeper.pid)))
    assert result.code == 1 and not seen
    assert "cannot enter mount namespace" in result.one_line()


@pytest.mark.parametrize("namespace", ["PID", "/proc/PID/ns/mnt", "1"])
def test_a_user_unmounts_in_no_other_namespace(user_unmounts, run, mountpoint, namespace):
    with mount_of(NOBODY, mountpoint):
        sleeper = run("sleep", "60", **USER)
        failed = run(*user_unmounts, "-N", namespace.replace("PID", str(sleeper.pid)), mountpoint).wait()
        assert failed.code == 1 and "cannot enter mount namespace" in failed.one_line()
        assert len(mounts.at(mountpoint)) == 1


@pytest.mark.parametrize("option", ["setuid=root", "setuid=daemon", "drop_privileges"])
def test_a_user_starts_no_server_with_other_rights(by_mount, source, mountpoint, option):
    result, seen = by_mount(f"recorder#{source}", mountpoint, "-o", option)
    assert result.code == 1 and not seen and not mounts.at(mountpoint)
    assert option.split("=")[0] in result.one_line() or "root" in result.one_line() or "daemon" in result.one_line()
