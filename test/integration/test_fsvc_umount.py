# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-umount: which mount it takes away, for whom, and by which names."""

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
from kit.unprivileged_user import USER, mount_of, user_unmounts  # noqa: F401, fixtures
from kit.umount_fixtures import NOT_UNMOUNTED, SOME, UMOUNT, WRONG, gone
from kit.umount_fixtures import by_hand, umount  # noqa: F401: fixtures


# which mount


@pytest.mark.parametrize("spelling", ["{}", "{}/", "{}/../mnt", "mnt", "./mnt", "link"])
def test_a_mountpoint_is_found_however_it_is_spelled(by_hand, umount, work, mountpoint, spelling):
    (work / "link").symlink_to(mountpoint)
    by_hand(mountpoint)
    assert umount(spelling.format(mountpoint), cwd=work)[:3] == (0, "", "")
    assert gone(mountpoint)


@pytest.mark.parametrize("name", ["a b", "com,ma", "back\\slash", "ha#sh", "\u00e4\u00f6", "new\nline", "\\040"])
def test_names_mean_themselves(recorded, umount, work, name):
    place = work / name
    place.mkdir()
    with recorded(mountpoint=place) as (begun, server):
        os.kill(server, signal.SIGKILL)
        assert len(mounts.at(place)) == 1
        assert umount(place).code == 0
    assert gone(place)


def test_an_older_kernel_finds_it_too(by_hand, umount, mountpoint):
    by_hand(mountpoint)
    assert umount(mountpoint, preexec_fn=without_system_call(STATMOUNT, errno.ENOSYS)).code == 0
    assert gone(mountpoint)


def test_a_file_is_a_mountpoint_too(recorded, umount, work):
    place = work / "file"
    place.touch()
    with recorded(mountpoint=place) as (_, server):
        os.kill(server, signal.SIGKILL)
        assert umount(place).code == 0
    assert gone(place)


def test_a_source_stands_for_its_only_mount(by_hand, umount, image, mountpoint, work):
    by_hand(mountpoint)
    assert umount(image.name, cwd=work).code == 0
    assert gone(mountpoint)


def test_a_file_of_the_same_name_in_another_directory_is_another_source(attempt, umount, source, mountpoint, work):
    elsewhere = work / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / source.name).touch()
    attempt(source=source.name, cwd=work).mount()
    assert umount(source.name, cwd=elsewhere).code == NOT_UNMOUNTED
    assert not gone(mountpoint)
    assert umount("-t0", source.name, cwd=work).code == 0


def test_a_source_that_another_program_shows_as_it_was_spelled_is_not_guessed_at(run, umount, image, mountpoint, work):
    elsewhere = work / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / image.name).touch()
    run("squashfuse", "-f", "-o", f"fsname={image.name}", image, mountpoint)
    wait_for(lambda: mounts.at(mountpoint), what="the mount")
    assert umount(image.name, cwd=elsewhere).code == NOT_UNMOUNTED
    assert umount(mountpoint).code == 0


def test_a_source_of_two_mounts_stands_for_neither(by_hand, umount, image, mountpoint, work):
    other = work / "other"
    other.mkdir()
    by_hand(mountpoint)
    by_hand(other)
    failed = umount(image)
    assert failed.code == NOT_UNMOUNTED and "source of several mounts" in failed.one_line()
    assert umount(mountpoint, other).code == 0
    assert gone(mountpoint) and gone(other)


def test_of_two_mounts_on_one_place_the_upper_one_goes_first(by_hand, umount, mountpoint):
    by_hand(mountpoint)
    with mounts.tmpfs(mountpoint):
        assert umount(mountpoint).code == WRONG
    assert umount(mountpoint).code == 0


def test_what_is_no_fuse_mount_is_left_alone(umount, mountpoint):
    with mounts.tmpfs(mountpoint):
        failed = umount(mountpoint)
        assert failed.code == WRONG and "not a FUSE mount" in failed.one_line()
        assert len(mounts.at(mountpoint)) == 1


@pytest.mark.parametrize("word", ["mnt", "source.img", "nothing", "mnt/file", ""])
def test_what_is_not_mounted_is_named(umount, work, mountpoint, source, word):
    (mountpoint / "file").touch()
    failed = umount(word, cwd=work)
    assert failed.code == NOT_UNMOUNTED and word in failed.one_line()


def test_a_place_inside_a_mount_does_not_stand_for_it(by_hand, umount, mountpoint):
    by_hand(mountpoint)
    failed = umount(mountpoint / "text")
    assert failed.code == NOT_UNMOUNTED and "not mounted" in failed.one_line()
    assert len(mounts.at(mountpoint)) == 1
    assert umount(mountpoint).code == 0


def test_one_that_fails_does_not_keep_the_others(by_hand, umount, mountpoint, work):
    by_hand(mountpoint)
    assert umount(work / "nothing", mountpoint).code == SOME
    assert gone(mountpoint)


# umount(8)


@pytest.mark.parametrize("name", ["umount.fuse", "umount.fuse3", "umount.fuseblk", "umount.fuse.squashfs"])
def test_umount_calls_it_by_these_names(by_hand, umount, work, mountpoint, name):
    program = work / name
    program.symlink_to(FSVC)
    by_hand(mountpoint)
    assert umount(mountpoint, "-n", "-v", "-t", "fuse.squashfuse", command=[program])[:3] == (0, "", "")
    assert gone(mountpoint)


WRONG_USAGE = {  # arguments, and the problem that is printed
    "": "missing operand", "-x /mnt": "invalid option -- 'x'", "-lx /mnt": "invalid option -- 'x'",
    "--lazy /mnt": "unrecognized option '--lazy'", "/mnt --nonsense=1": "unrecognized option '--nonsense=1'",
    "-t": "option '-t' requires an argument", "-t x /mnt": "invalid timeout 'x'", "-t -1 /mnt": "invalid timeout '-1'",
}


@pytest.mark.parametrize("words, named", WRONG_USAGE.items(), ids=WRONG_USAGE)
def test_wrong_usage_is_named(umount, words, named):
    failed = umount(*words.split())
    assert failed.code == WRONG and named in failed.usage_error()


# users


@pytest.mark.parametrize("how", [(), ("-l",), ("-f",)], ids=" ".join)
def test_a_user_unmounts_what_is_theirs(user_unmounts, umount, mountpoint, how):
    with mount_of(65534, mountpoint):
        assert umount(*how, mountpoint, command=user_unmounts)[:3] == (0, "", "")
        assert gone(mountpoint)


def test_a_user_learns_of_their_own_processes_alone(user_unmounts, umount, run, mountpoint):
    with mount_of(NOBODY, mountpoint):
        held = os.open(mountpoint, os.O_PATH)
        try:
            line = umount(mountpoint, command=user_unmounts).one_line()
            assert "in use by a process that you may not see" in line
            sleeper = run("sleep", "60", **USER, pass_fds=[held])
            line = umount(mountpoint, command=user_unmounts).one_line()
            assert f"in use by sleep ({sleeper.pid});" in line
            sleeper.kill()
        finally:
            os.close(held)


def test_a_users_entry_is_taken_out_of_the_table(user_unmounts, umount, mountpoint):
    with mount_of(65534, mountpoint):
        with open("/run/mount/utab", "w") as table:
            table.write(f"SRC=somewhere TARGET={mountpoint} ROOT=/ OPTS=user=nobody\n")
        assert umount(mountpoint, command=user_unmounts).code == 0
        assert gone(mountpoint)


def test_what_is_recorded_for_others_in_the_same_place_stays(user_unmounts, umount, mountpoint):
    lower = f"SRC=/dev/sdx TARGET={mountpoint} ROOT=/ OPTS=uhelper=udisks2,user=nobody2,_netdev\n"
    with open("/run/mount/utab", "w") as table:
        table.write(lower)
    with mount_of(NOBODY, mountpoint):
        assert umount(mountpoint, command=user_unmounts).code == 0
    assert Path("/run/mount/utab").read_text() == lower
    os.unlink("/run/mount/utab")


def test_without_privilege_nobody_unmounts(umount, mountpoint):
    with mount_of(65534, mountpoint):
        failed = umount(mountpoint, command=[*AS_NOBODY, *UMOUNT])
        assert failed.code == WRONG and failed.one_line()
        assert len(mounts.at(mountpoint)) == 1
