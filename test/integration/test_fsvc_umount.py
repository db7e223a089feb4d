# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-umount: which mount it takes away, for whom, and by which names."""

import errno
import os
import signal
from pathlib import Path

import pytest

from kit import mounts
<<<<<<< HEAD
from kit.build_options import FSVC
from kit.programs import AS_NOBODY, NOBODY
from kit.waiting import wait_for
from kit.seccomp import STATMOUNT, without_system_call
from kit.unprivileged_user import USER, mount_of, user_unmounts  # noqa: F401, fixtures
from kit.umount_fixtures import NOT_UNMOUNTED, SOME, UMOUNT, WRONG, gone
from kit.umount_fixtures import by_hand, umount  # noqa: F401: fixtures
=======
from kit.exit_status import INTERRUPTED, MOUNT_FAILED, SOME_FAILED, USAGE
from kit.programs import AS_NOBODY, FSVC, NOBODY, STATMOUNT, descriptors_of, family, wait_for, without_system_call
from kit.users import USER, mount_of, user_unmounts  # noqa: F401, fixtures

UMOUNT = [FSVC, "fsvc-umount"]


@pytest.fixture
def by_hand(run, image):
    """Mounts as anybody does without fsvc."""
    places = []

    def by_hand(place, source=image):
        places.append(place)
        server = run("squashfuse", "-f", "-o", f"fsname={source}", source, place)
        wait_for(lambda: mounts.at(place), what="the mount")
        return server

    yield by_hand
    for place in places:
        for _ in mounts.at(place):
            mounts.detach(place)


@pytest.fixture
def umount(run):
    return lambda *words, command=UMOUNT, **options: run(*command, *words, **options).wait()


def gone(place):
    return mounts.at(place) == [] and mounts.entries_of(place) == []
>>>>>>> 5200b35 (test: compare the exit statuses of the manual pages with the header)


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
    assert umount(source.name, cwd=elsewhere).code == MOUNT_FAILED
    assert not gone(mountpoint)
    assert umount("-t0", source.name, cwd=work).code == 0


def test_a_source_that_another_program_shows_as_it_was_spelled_is_not_guessed_at(run, umount, image, mountpoint, work):
    elsewhere = work / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / image.name).touch()
    run("squashfuse", "-f", "-o", f"fsname={image.name}", image, mountpoint)
    wait_for(lambda: mounts.at(mountpoint), what="the mount")
    assert umount(image.name, cwd=elsewhere).code == MOUNT_FAILED
    assert umount(mountpoint).code == 0


def test_a_source_of_two_mounts_stands_for_neither(by_hand, umount, image, mountpoint, work):
    other = work / "other"
    other.mkdir()
    by_hand(mountpoint)
    by_hand(other)
    failed = umount(image)
<<<<<<< HEAD
    assert failed.code == NOT_UNMOUNTED and "name one of them" in failed.one_line()
=======
    assert failed.code == MOUNT_FAILED and "source of several mounts" in failed.one_line()
>>>>>>> 5200b35 (test: compare the exit statuses of the manual pages with the header)
    assert umount(mountpoint, other).code == 0
    assert gone(mountpoint) and gone(other)


def test_of_two_mounts_on_one_place_the_upper_one_goes_first(by_hand, umount, mountpoint):
    by_hand(mountpoint)
    with mounts.tmpfs(mountpoint):
        assert umount(mountpoint).code == USAGE
    assert umount(mountpoint).code == 0


def test_what_is_no_fuse_mount_is_left_alone(umount, mountpoint):
    with mounts.tmpfs(mountpoint):
        failed = umount(mountpoint)
<<<<<<< HEAD
        assert failed.code == WRONG and "is not a FUSE mount" in failed.one_line()
=======
        assert failed.code == USAGE and "not a FUSE mount" in failed.one_line()
>>>>>>> 5200b35 (test: compare the exit statuses of the manual pages with the header)
        assert len(mounts.at(mountpoint)) == 1


@pytest.mark.parametrize("word", ["mnt", "source.img", "nothing", "mnt/file", ""])
def test_what_is_not_mounted_is_named(umount, work, mountpoint, source, word):
    (mountpoint / "file").touch()
    failed = umount(word, cwd=work)
    assert failed.code == MOUNT_FAILED and word in failed.one_line()


def test_a_place_inside_a_mount_does_not_stand_for_it(by_hand, umount, mountpoint):
    by_hand(mountpoint)
    failed = umount(mountpoint / "text")
<<<<<<< HEAD
    assert failed.code == NOT_UNMOUNTED and "is not mounted" in failed.one_line()
=======
    assert failed.code == MOUNT_FAILED and "not mounted" in failed.one_line()
>>>>>>> 5200b35 (test: compare the exit statuses of the manual pages with the header)
    assert len(mounts.at(mountpoint)) == 1
    assert umount(mountpoint).code == 0


def test_one_that_fails_does_not_keep_the_others(by_hand, umount, mountpoint, work):
    by_hand(mountpoint)
    assert umount(work / "nothing", mountpoint).code == SOME_FAILED
    assert gone(mountpoint)


<<<<<<< HEAD
=======
# busy, hanging, dead


def test_who_keeps_it_busy_is_named(by_hand, umount, mountpoint):
    by_hand(mountpoint)
    with open(mountpoint / "text") as held, subprocess.Popen(["sleep", "100"], cwd=mountpoint) as sleeper:
        failed = umount(mountpoint)
        assert failed.code == MOUNT_FAILED
        line = failed.one_line()
        assert f"sleep ({sleeper.pid})" in line and f"({os.getpid()})" in line and held
        sleeper.kill()
    assert umount(mountpoint).code == 0


def test_a_mount_on_it_is_named(by_hand, umount, mountpoint, tree):
    by_hand(mountpoint)
    with mounts.tmpfs(mountpoint / "sub"):
        failed = umount(mountpoint)
        assert failed.code == MOUNT_FAILED and f"the mount on {mountpoint}/sub" in failed.one_line()
    assert umount(mountpoint).code == 0


def test_quiet_says_nothing(by_hand, umount, mountpoint):
    by_hand(mountpoint)
    with open(mountpoint / "text"):
        assert umount("-q", mountpoint)[:3] == (MOUNT_FAILED, "", "")
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


# waiting


def listens_to_signals(pid):
    """Before, a signal ends it as it ends any program."""
    return "anon_inode:[signalfd]" in descriptors_of(pid)


def test_it_ends_when_the_server_has_and_not_before(recorded, run):
    with recorded() as (begun, server):
        unmounting = run(*UMOUNT, begun.mountpoint)
        wait_for(lambda: gone(begun.mountpoint), what="the end of the mount")
        time.sleep(0.5)
        assert unmounting.runs()
        os.kill(server, signal.SIGKILL)
        assert unmounting.wait()[:3] == (0, "", "")


def test_a_number_that_another_process_has_by_now_is_not_waited_for(recorded, umount):
    with recorded() as (begun, server):
        entry, = mounts.entries_of(begun.mountpoint)
        table = Path("/run/mount/utab")
        table.write_text(table.read_text().replace(entry["ATTRS"], f"fsvc.server={server}:1"))
        assert umount(begun.mountpoint).code == 0


@pytest.mark.parametrize("words", [["-t", "0"], ["-t0"], ["-l"], ["-f"]], ids=" ".join)
def test_who_does_not_want_to_wait_does_not(recorded, umount, words):
    with recorded() as (begun, _):
        assert umount(*words, begun.mountpoint).code == 0
        assert gone(begun.mountpoint)


def test_a_limit_is_kept_and_named(recorded, umount):
    with recorded() as (begun, server):
        failed = umount("-t", "1", begun.mountpoint)
        assert failed.code == MOUNT_FAILED and f"the server ({server}) has not written" in failed.one_line()
        assert gone(begun.mountpoint)


def test_who_waits_can_leave_and_the_unmounting_goes_on(recorded, run):
    with recorded() as (begun, _):
        unmounting = run(*UMOUNT, begun.mountpoint)
        wait_for(lambda: listens_to_signals(unmounting.pid), what="the wait")
        assert gone(begun.mountpoint)
        os.kill(unmounting.pid, signal.SIGINT)
        left = unmounting.wait()
        assert left.code == INTERRUPTED and "still writing" in left.one_line()


@contextlib.contextmanager
def told_at_a_terminal(mountpoint):
    """What a person is told while the unmounting goes on, which succeeds in the end."""
    terminal, other = pty.openpty()
    with subprocess.Popen([*UMOUNT, mountpoint], stderr=other) as unmounting:
        os.close(other)
        yield os.read(terminal, 4096).decode()
    assert unmounting.returncode == 0
    os.close(terminal)


def test_a_person_at_a_terminal_reads_what_is_waited_for(recorded):
    with recorded() as (begun, server):
        with told_at_a_terminal(begun.mountpoint) as line:
            assert f"server ({server})" in line and "waiting" in line
            os.kill(server, signal.SIGKILL)


def test_a_person_reads_what_the_kernel_waits_for(slow, mountpoint):
    with told_at_a_terminal(mountpoint) as line:
        assert f"{mountpoint}: waiting for the server to write all data back" in line
        slow.service.stop_serving()


@pytest.fixture
def slow(attempt, loop):
    """A block device's mount: the kernel keeps who unmounts it until the server has answered, which it does not."""
    begun = attempt("-n", source=loop, kind="fuseblk.toy")
    begun.prepare(kind=1)
    begun.finish()
    begun.service.begin_to_serve()
    return begun


def test_it_ends_when_the_kernel_has_done_with_the_mount_and_not_before(slow, run, mountpoint):
    unmounting = run(*UMOUNT, mountpoint)
    wait_for(lambda: gone(mountpoint), what="the end of the mount")
    time.sleep(0.5)
    assert unmounting.runs()
    slow.service.stop_serving()
    assert unmounting.wait()[:3] == (0, "", "")


def test_a_limit_is_kept_for_what_the_kernel_waits_for(slow, umount, mountpoint):
    failed = umount("-t", "1", mountpoint)
    assert failed.code == MOUNT_FAILED and "has not written all data back in time" in failed.one_line()
    assert gone(mountpoint)


@pytest.mark.parametrize("words", [["-t", "0"], ["-l"], ["-f"]], ids=" ".join)
def test_who_does_not_want_to_wait_is_not_kept_by_the_kernel(slow, umount, mountpoint, words):
    assert umount(*words, mountpoint)[:3] == (0, "", "")
    assert gone(mountpoint)


def test_who_reads_what_it_says_is_not_kept_by_the_kernel(slow, mountpoint):
    """The end of a pipe is when nobody has it open any more."""
    failed = subprocess.run([*UMOUNT, "-t", "1", mountpoint], capture_output=True, text=True, timeout=30)
    assert failed.returncode == MOUNT_FAILED and "in time" in failed.stderr


def test_who_is_kept_by_the_kernel_can_leave(slow, run, mountpoint):
    unmounting = run(*UMOUNT, mountpoint)
    wait_for(lambda: listens_to_signals(unmounting.pid), what="the wait")
    for pid in family(unmounting.pid):  # a Ctrl-C is for all at the terminal
        os.kill(pid, signal.SIGINT)
    left = unmounting.wait()
    assert left.code == INTERRUPTED and "is still writing data back" in left.one_line()


>>>>>>> 5200b35 (test: compare the exit statuses of the manual pages with the header)
# umount(8)


@pytest.mark.parametrize("name", ["umount.fuse", "umount.fuse3", "umount.fuseblk", "umount.fuse.squashfs"])
def test_umount_calls_it_by_these_names(by_hand, umount, work, mountpoint, name):
    program = work / name
    program.symlink_to(FSVC)
    by_hand(mountpoint)
    assert umount(mountpoint, "-n", "-v", "-t", "fuse.squashfuse", command=[program])[:3] == (0, "", "")
    assert gone(mountpoint)


WRONG_USAGE = {  # words, and what the line names
    "": "nothing", "-x /mnt": "-x", "-lx /mnt": "-x", "--lazy /mnt": "--lazy", "/mnt --nonsense=1": "--nonsense=1", "-t": "-t",
    "-t x /mnt": "x", "-t -1 /mnt": "-1",
}


@pytest.mark.parametrize("words, named", WRONG_USAGE.items(), ids=WRONG_USAGE)
def test_wrong_usage_is_named(umount, words, named):
    failed = umount(*words.split())
<<<<<<< HEAD
    assert failed.code == WRONG and named in failed.one_line()
=======
    assert failed.code == USAGE and named in failed.usage_error()
>>>>>>> 5200b35 (test: compare the exit statuses of the manual pages with the header)


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
            assert "in use by somebody whom you may not know of" in line
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
        assert failed.code == USAGE and failed.one_line()
        assert len(mounts.at(mountpoint)) == 1
