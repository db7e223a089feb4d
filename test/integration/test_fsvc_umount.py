# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-umount: which mount is unmounted, and which users may unmount it."""

import errno
import os
import signal
from pathlib import Path

import pytest

from kit import mounts
from kit.build_options import FSVC
from kit.programs import AS_NOBODY, NOBODY
from kit.waiting import wait_for
from kit.seccomp import STATMOUNT, without_system_call
from kit.unprivileged_user import USER, mount_of, user_umount  # noqa: F401, fixtures
from kit.umount_fixtures import NOT_UNMOUNTED, SOME_FAILED, UMOUNT, USAGE_ERROR, is_unmounted
from kit.umount_fixtures import mount_without_fsvc, umount  # noqa: F401: fixtures


# which mount


@pytest.mark.parametrize("spelling", ["{}", "{}/", "{}/../mnt", "mnt", "./mnt", "link"])
def test_mountpoint_is_found_by_any_path(mount_without_fsvc, umount, work, mountpoint, spelling):
    (work / "link").symlink_to(mountpoint)
    mount_without_fsvc(mountpoint)
    assert umount(spelling.format(mountpoint), cwd=work)[:3] == (0, "", "")
    assert is_unmounted(mountpoint)


@pytest.mark.parametrize("name", ["a b", "com,ma", "back\\slash", "ha#sh", "\u00e4\u00f6", "new\nline", "\\040"])
def test_special_characters_in_mountpoint(recorded, umount, work, name):
    target = work / name
    target.mkdir()
    with recorded(mountpoint=target) as (session, server):
        os.kill(server, signal.SIGKILL)
        assert len(mounts.at(target)) == 1
        assert umount(target).code == 0
    assert is_unmounted(target)


def test_mount_is_found_without_statmount(mount_without_fsvc, umount, mountpoint):
    mount_without_fsvc(mountpoint)
    assert umount(mountpoint, preexec_fn=without_system_call(STATMOUNT, errno.ENOSYS)).code == 0
    assert is_unmounted(mountpoint)


def test_file_mountpoint_is_unmounted(recorded, umount, work):
    target = work / "file"
    target.touch()
    with recorded(mountpoint=target) as (_, server):
        os.kill(server, signal.SIGKILL)
        assert umount(target).code == 0
    assert is_unmounted(target)


def test_source_of_one_mount_is_unmounted(mount_without_fsvc, umount, image, mountpoint, work):
    mount_without_fsvc(mountpoint)
    assert umount(image.name, cwd=work).code == 0
    assert is_unmounted(mountpoint)


def test_relative_source_is_not_matched_by_file_name_only(attempt, umount, source, mountpoint, work):
    elsewhere = work / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / source.name).touch()
    attempt(source=source.name, cwd=work).mount()
    assert umount(source.name, cwd=elsewhere).code == NOT_UNMOUNTED
    assert not is_unmounted(mountpoint)
    assert umount("-t0", source.name, cwd=work).code == 0


def test_relative_source_of_other_program_is_not_matched_in_other_directory(run, umount, image, mountpoint, work):
    elsewhere = work / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / image.name).touch()
    run("squashfuse", "-f", "-o", f"fsname={image.name}", image, mountpoint)
    wait_for(lambda: mounts.at(mountpoint), what="the mount")
    assert umount(image.name, cwd=elsewhere).code == NOT_UNMOUNTED
    assert umount(mountpoint).code == 0


def test_source_of_two_mounts_is_ambiguous(mount_without_fsvc, umount, image, mountpoint, work):
    other = work / "other"
    other.mkdir()
    mount_without_fsvc(mountpoint)
    mount_without_fsvc(other)
    failed = umount(image)
    assert failed.code == NOT_UNMOUNTED and "source of several mounts" in failed.one_line()
    assert umount(mountpoint, other).code == 0
    assert is_unmounted(mountpoint) and is_unmounted(other)


def test_topmost_mount_is_unmounted_first(mount_without_fsvc, umount, mountpoint):
    mount_without_fsvc(mountpoint)
    with mounts.tmpfs(mountpoint):
        assert umount(mountpoint).code == USAGE_ERROR
    assert umount(mountpoint).code == 0


def test_other_filesystem_is_not_unmounted(umount, mountpoint):
    with mounts.tmpfs(mountpoint):
        failed = umount(mountpoint)
        assert failed.code == USAGE_ERROR and "not a FUSE mount" in failed.one_line()
        assert len(mounts.at(mountpoint)) == 1


@pytest.mark.parametrize("operand", ["mnt", "source.img", "nothing", "mnt/file", ""])
def test_operand_that_is_not_mounted_is_named_in_error(umount, work, mountpoint, source, operand):
    (mountpoint / "file").touch()
    failed = umount(operand, cwd=work)
    assert failed.code == NOT_UNMOUNTED and operand in failed.one_line()


def test_path_inside_mount_is_not_its_mountpoint(mount_without_fsvc, umount, mountpoint):
    mount_without_fsvc(mountpoint)
    failed = umount(mountpoint / "text")
    assert failed.code == NOT_UNMOUNTED and "not mounted" in failed.one_line()
    assert len(mounts.at(mountpoint)) == 1
    assert umount(mountpoint).code == 0


def test_failure_does_not_prevent_other_unmounts(mount_without_fsvc, umount, mountpoint, work):
    mount_without_fsvc(mountpoint)
    assert umount(work / "nothing", mountpoint).code == SOME_FAILED
    assert is_unmounted(mountpoint)


# umount(8)


@pytest.mark.parametrize("name", ["umount.fuse", "umount.fuse3", "umount.fuseblk", "umount.fuse.squashfs"])
def test_umount_helper_names_accept_options_of_umount(mount_without_fsvc, umount, work, mountpoint, name):
    program = work / name
    program.symlink_to(FSVC)
    mount_without_fsvc(mountpoint)
    assert umount(mountpoint, "-n", "-v", "-t", "fuse.squashfuse", command=[program])[:3] == (0, "", "")
    assert is_unmounted(mountpoint)


USAGE_ERRORS = {  # arguments: error message
    "": "missing operand", "-x /mnt": "invalid option -- 'x'", "-lx /mnt": "invalid option -- 'x'",
    "--lazy /mnt": "unrecognized option '--lazy'", "/mnt --nonsense=1": "unrecognized option '--nonsense=1'",
    "-t": "option '-t' requires an argument", "-t x /mnt": "invalid argument 'x' for '-t'", "-t -1 /mnt": "invalid argument '-1' for '-t'",
}


@pytest.mark.parametrize("arguments, message", USAGE_ERRORS.items(), ids=USAGE_ERRORS)
def test_usage_error_names_argument(umount, arguments, message):
    failed = umount(*arguments.split())
    assert failed.code == USAGE_ERROR and message in failed.usage_error()


# users


@pytest.mark.parametrize("how", [(), ("-l",), ("-f",)], ids=" ".join)
def test_user_can_unmount_own_mount(user_umount, umount, mountpoint, how):
    with mount_of(65534, mountpoint):
        assert umount(*how, mountpoint, command=user_umount)[:3] == (0, "", "")
        assert is_unmounted(mountpoint)


def test_user_sees_only_own_processes_in_busy_message(user_umount, umount, run, mountpoint):
    with mount_of(NOBODY, mountpoint):
        held = os.open(mountpoint, os.O_PATH)
        try:
            line = umount(mountpoint, command=user_umount).one_line()
            assert "in use by a process of another user" in line
            sleeper = run("sleep", "60", **USER, pass_fds=[held])
            line = umount(mountpoint, command=user_umount).one_line()
            assert f"in use by sleep ({sleeper.pid});" in line
            sleeper.kill()
        finally:
            os.close(held)


def test_entry_of_user_is_removed_from_utab(user_umount, umount, mountpoint):
    with mount_of(65534, mountpoint):
        with open("/run/mount/utab", "w") as table:
            table.write(f"SRC=somewhere TARGET={mountpoint} ROOT=/ OPTS=user=nobody\n")
        assert umount(mountpoint, command=user_umount).code == 0
        assert is_unmounted(mountpoint)


def test_entry_of_other_mount_on_same_mountpoint_stays_in_utab(user_umount, umount, mountpoint):
    lower = f"SRC=/dev/sdx TARGET={mountpoint} ROOT=/ OPTS=uhelper=udisks2,user=nobody2,_netdev\n"
    with open("/run/mount/utab", "w") as table:
        table.write(lower)
    with mount_of(NOBODY, mountpoint):
        assert umount(mountpoint, command=user_umount).code == 0
    assert Path("/run/mount/utab").read_text() == lower
    os.unlink("/run/mount/utab")


def test_unprivileged_umount_is_refused(umount, mountpoint):
    with mount_of(65534, mountpoint):
        failed = umount(mountpoint, command=[*AS_NOBODY, *UMOUNT])
        assert failed.code == USAGE_ERROR and failed.one_line()
        assert len(mounts.at(mountpoint)) == 1
