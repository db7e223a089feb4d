# SPDX-License-Identifier: LGPL-2.1-or-later
"""The helper mounts for a service, after all its requests, and only when all of them have succeeded."""

import errno
from pathlib import Path

import pytest

from kit import mounts, processes, protocol, utab
from kit.mounts import at


# the whole way


def test_a_mount_appears_when_the_server_says_goodbye_and_not_before(attempt, mountpoint):
    begun = attempt()
    begun.prepare()
    assert at(mountpoint) == []
    begun.finish()
    mount = mounts.the_one_at(mountpoint)
    assert (mount.type, mount.source) == ("fuse.toy", begun.source)
    assert {"user_id=0", "group_id=0"} <= mount.options
    begun.unmount()


def test_the_helper_says_nothing_and_is_gone_when_all_went_well(attempt):
    begun = attempt()
    begun.prepare()
    assert begun.finish()[:3] == (0, "", "")
    begun.unmount()


def test_a_regular_file_can_be_the_mountpoint(attempt, work):
    place = work / "place"
    place.touch()
    begun = attempt(mountpoint=place)
    assert begun.mount().type == "fuse.toy"
    begun.unmount()


def test_a_mountpoint_is_found_from_where_the_caller_stands(attempt, work, mountpoint):
    begun = attempt(mountpoint="mnt", cwd=work)
    begun.prepare()
    begun.finish()
    assert len(at(mountpoint)) == 1
    begun.unmount()


def test_a_mountpoint_whose_name_leads_elsewhere_by_now_is_not_mistaken(attempt, work, mountpoint):
    begun, victim = attempt(), work / "victim"
    victim.mkdir()
    mountpoint.rename(work / "moved")
    mountpoint.symlink_to(victim)
    begun.prepare()
    begun.service.goodbye()
    begun.helper.wait()
    assert at(victim) == []
    if at(work / "moved"):
        begun.service.stop_serving()
        mounts.unmount(work / "moved", "--internal-only", "--lazy")


def test_a_service_that_does_not_wait_for_answers_is_understood_as_well(attempt):
    begun = attempt()
    commands = [protocol.open_command(begun.source), protocol.type_command(), protocol.name(begun.source),
                protocol.mntp(begun.mountpoint), protocol.doit(), protocol.byee(0)]
    for command in commands:
        begun.service.send(command)
    assert begun.service.receive_file().error == 0
    assert [protocol.read_reply(begun.service.receive()[0]) for _ in range(4)] == [0] * 4
    assert begun.helper.wait().code == 0
    assert len(at(begun.place)) == 1
    begun.unmount()


# in which order


@pytest.mark.parametrize("command", [
    protocol.type_command(), protocol.name("toy"), protocol.opts("max_read=4096"), protocol.mtab("rw"), "MNTP",
], ids=lambda command: repr(command[:4]))
def test_a_word_that_was_taken_is_not_taken_twice(attempt, mountpoint, command):
    command = protocol.mntp(mountpoint) if command == "MNTP" else command
    service = attempt().service
    assert [service.command(command) for _ in range(3)] == [0, errno.EINVAL, errno.EINVAL]


def test_nothing_is_mounted_without_a_name_and_a_mountpoint(attempt, mountpoint):
    service = attempt().service
    assert service.command(protocol.doit()) == errno.EINVAL
    assert service.command(protocol.mntp(mountpoint)) == 0
    assert service.command(protocol.doit()) == errno.EINVAL
    assert service.command(protocol.name("toy")) == 0
    assert service.command(protocol.doit()) == 0


def test_a_name_alone_is_not_enough_to_mount(attempt):
    service = attempt().service
    assert service.command(protocol.name("toy")) == 0
    assert service.command(protocol.doit()) == errno.EINVAL


def test_a_second_mount_is_invalid(attempt):
    begun = attempt()
    begun.prepare()
    assert begun.service.command(protocol.doit()) == errno.EINVAL
    begun.finish()
    assert len(at(begun.mountpoint)) == 1
    begun.unmount()


def test_there_is_nothing_to_unmount_before_a_mount(attempt):
    assert attempt().service.command(protocol.umnt()) == errno.EINVAL


def test_a_mount_that_the_service_takes_back_never_appears(attempt):
    begun = attempt()
    begun.prepare()
    assert [begun.service.command(protocol.umnt()) for _ in range(2)] == [0, errno.EINVAL]
    begun.service.goodbye(0)
    begun.fails_in_one_line()


@pytest.mark.parametrize("code", [0, 1, 255, 0xFFFFFFFF])
def test_a_goodbye_before_the_mount_is_a_failure(attempt, code):
    begun = attempt()
    begun.service.goodbye(code)
    begun.blames_the_service()


@pytest.mark.parametrize("code", [1, 2, 256, 0xFFFFFFFF])
def test_a_goodbye_with_a_failure_leaves_nothing_mounted(attempt, code):
    begun = attempt()
    begun.prepare()
    begun.service.goodbye(code)
    begun.blames_the_service()


def test_a_service_without_its_program_is_told_from_others(attempt):
    begun = attempt()
    begun.service.goodbye(127)
    assert "exit status 127 (its server may not be installed)" in begun.fails_in_one_line()


def test_a_service_that_hangs_up_after_mounting_leaves_nothing_mounted(attempt):
    begun = attempt()
    begun.prepare()
    begun.service.hang_up()
    begun.blames_the_service()


# the server's entry


def start_time(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


@pytest.mark.needs("mount_table")
def test_the_mount_table_knows_the_server_whoever_accepted_for_it(attempt):
    """As with a service manager: what listens and accepts is not what serves."""
    begun = attempt()
    begun.prepare()
    with processes.forked(lambda: begun.service.send(protocol.byee(0))) as server:
        assert begun.helper.wait().code == 0
        entry, = utab.entries_of(begun.mountpoint)
        assert entry["ATTRS"] == f"fsvc.server={server}:{start_time(server)}"
    begun.unmount()
    assert utab.entries_of(begun.mountpoint) == []


def test_without_an_entry_in_the_mount_table_there_is_no_server_in_it(attempt):
    begun = attempt("-n")
    begun.mount()
    assert utab.entries_of(begun.mountpoint) == []
    begun.unmount()


@pytest.mark.needs("mount_table")
def test_the_mount_table_has_the_place_that_is_mounted_on_and_not_its_former_name(attempt, work, mountpoint):
    begun = attempt()
    begun.place = mountpoint.rename(work / "moved")
    begun.mount()
    assert utab.entries_of(mountpoint) == []
    assert len(utab.entries_of(begun.place)) == 1
    begun.unmount()
