# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attacks on a set-user-ID helper: mounts and unmounts that the caller is not allowed to make."""

import os
import pathlib

import pytest

from kit import mounts, protocol
from kit.programs import NOBODY
from kit.attack_fixtures import MOUNT_FAILED, NOT_OWNER, make_directory
from kit.attack_fixtures import by_mount, record, refused, user  # noqa: F401: fixtures
from kit.unprivileged_user import USER, mount_of
from kit.unprivileged_user import fuse_conf, set_user_id, user_umount  # noqa: F401: fixtures


@pytest.mark.parametrize("owner, mode", [(0, 0o755), (0, 0o775), (0, 0o1777), (1, 0o1777), (NOBODY, 0o555)], ids=str)
def test_user_cannot_mount_on_directory_of_another_user_or_without_write_permission(refused, work, owner, mode):
    assert "cannot mount on" in refused(mountpoint=make_directory(work / "directory", owner, mode))


def test_user_can_mount_on_own_sticky_directory(attempt, user, work):
    session = attempt(mountpoint=make_directory(work / "directory", NOBODY, 0o1777), **user)
    session.mount()
    session.unmount()


def test_user_cannot_mount_on_read_only_file(refused, work):
    (work / "file").touch(0o644)
    assert "cannot mount on" in refused(mountpoint=work / "file")


@pytest.mark.parametrize("path", ["/proc", "/proc/PID", "/proc/PID/comm", "/proc/PID/attr/current", "/proc/PID/fd",
                                   "/proc/self/comm", "/proc/self/cwd", "/proc/self/exe", "/sys", "/sys/kernel"])
def test_user_cannot_mount_on_proc_or_sys(refused, run, path):
    sleeper = run("sleep", "60", **USER)
    assert "cannot mount on" in refused(mountpoint=path.replace("PID", str(sleeper.pid)))


def test_mount_max_of_fuse_conf_limits_mounts_of_user(attempt, user, refused, fuse_conf, work):
    here = sum(mount.type.startswith("fuse") and mount.type != "fusectl" for mount in mounts.mountinfo())
    fuse_conf(f"mount_max = {here + 1}\n")
    session = attempt(**user)
    session.mount()
    assert "mount_max" in refused(mountpoint=make_directory(work / "other", NOBODY, 0o755))
    session.unmount()


@pytest.mark.parametrize("option", ["allow_other", "allow_root"])
def test_allow_other_and_allow_root_of_user_need_user_allow_other(refused, option):
    refused("-o", option, commands=[protocol.opts("allow_other")])


@pytest.mark.parametrize("options", [["-o", "suid,dev"], ["-o", "suid", "-o", "dev"],
                                   ["-o", "nosuid,suid,nodev,dev"]], ids=str)
@pytest.mark.parametrize("kind", ["fuse.toy", "fuseblk.toy"])
def test_mount_of_user_has_nosuid_nodev_and_is_never_fuseblk(start, user, options, kind):
    session = start(*options, kind=kind, **user)
    session.try_to_mount()
    session.helper.wait()
    for mount in mounts.at(session.absolute_mountpoint):
        assert {"nosuid", "nodev"} <= mount.flags and mount.type == "fuse.toy"
        session.unmount()


# unmounting


@pytest.mark.parametrize("how", [(), ("-l",), ("-f",)], ids=" ".join)
@pytest.mark.parametrize("owner", [0, 1, 6553, 655341])
def test_user_cannot_unmount_mount_of_another_user(user_umount, run, mountpoint, owner, how):
    with mount_of(owner, mountpoint):
        failed = run(*user_umount, *how, mountpoint).wait()
        assert failed.code == NOT_OWNER and "mounted by another user" in failed.one_line()
        assert len(mounts.at(mountpoint)) == 1


@pytest.mark.parametrize("how", [(), ("-l",), ("-f",), ("-lf",)], ids=" ".join)
def test_user_cannot_unmount_mount_of_another_user_on_top_of_own(user_umount, run, mountpoint, how):
    with mount_of(NOBODY, mountpoint):
        held = os.open(mountpoint, os.O_PATH)
        try:
            with mounts.tmpfs(mountpoint):
                failed = run(*user_umount, *how, f"/proc/self/fd/{held}", pass_fds=[held]).wait()
                assert failed.code == MOUNT_FAILED and failed.one_line()
                assert [mount.type for mount in mounts.at(mountpoint)] == ["fuse.toy", "tmpfs"]
        finally:
            os.close(held)


# mount.fuse3


def test_user_can_mount_through_service_with_mount_fuse3(attempt, user, set_user_id):
    session = attempt(**user | {"command": [pathlib.Path(set_user_id).with_name("mount.fuse3")]})
    assert session.service.hello.flags == 0
    mount = session.mount()
    assert {f"user_id={NOBODY}", f"group_id={NOBODY}"} <= mount.options and {"nosuid", "nodev"} <= mount.flags
    session.unmount()


def test_server_without_service_runs_as_caller_without_capabilities(by_mount, source, mountpoint):
    seen = by_mount(f"recorder#{source}", mountpoint)[1]
    assert {seen[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert seen["Uid"].split() == seen["Gid"].split() == [str(NOBODY)] * 4
    assert seen["NoNewPrivs"] == "0"  # fusermount3 of the server needs to gain privileges


@pytest.mark.parametrize("namespace", ["PID", "/proc/PID/ns/mnt", "/proc/self/ns/mnt", "1"])
def test_user_cannot_enter_mount_namespace(by_mount, run, source, mountpoint, namespace):
    sleeper = run("sleep", "60", **USER)
    result, seen = by_mount(f"recorder#{source}", mountpoint, "-N", namespace.replace("PID", str(sleeper.pid)))
    assert result.code == 1 and not seen
    assert "cannot enter mount namespace" in result.one_line()


@pytest.mark.parametrize("namespace", ["PID", "/proc/PID/ns/mnt", "1"])
def test_user_cannot_unmount_in_other_mount_namespace(user_umount, run, mountpoint, namespace):
    with mount_of(NOBODY, mountpoint):
        sleeper = run("sleep", "60", **USER)
        failed = run(*user_umount, "-N", namespace.replace("PID", str(sleeper.pid)), mountpoint).wait()
        assert failed.code == 1 and "cannot enter mount namespace" in failed.one_line()
        assert len(mounts.at(mountpoint)) == 1


@pytest.mark.parametrize("option", ["setuid=root", "setuid=daemon", "drop_privileges"])
def test_user_cannot_start_server_with_other_credentials(by_mount, source, mountpoint, option):
    result, seen = by_mount(f"recorder#{source}", mountpoint, "-o", option)
    assert result.code == 1 and not seen and not mounts.at(mountpoint)
    assert option.split("=")[0] in result.one_line() or "root" in result.one_line() or "daemon" in result.one_line()
