# SPDX-License-Identifier: LGPL-2.1-or-later
"""The helper mounts for a service, and attaches the mount only if the service succeeds."""

import errno
from pathlib import Path

import pytest

from kit import mounts, processes, protocol, utab
from kit.mounts import at


# successful mounts


def test_mount_appears_after_goodbye_of_service(attempt, mountpoint):
    session = attempt()
    session.prepare()
    assert at(mountpoint) == []
    session.finish()
    mount = mounts.single_mount_at(mountpoint)
    assert (mount.type, mount.source) == ("fuse.toy", session.source)
    assert {"user_id=0", "group_id=0"} <= mount.options
    session.unmount()


def test_successful_helper_prints_nothing(attempt):
    session = attempt()
    session.prepare()
    assert session.finish()[:3] == (0, "", "")
    session.unmount()


def test_file_can_be_mountpoint(attempt, work):
    target = work / "target"
    target.touch()
    session = attempt(mountpoint=target)
    assert session.mount().type == "fuse.toy"
    session.unmount()


def test_mountpoint_can_be_relative(attempt, work, mountpoint):
    session = attempt(mountpoint="mnt", cwd=work)
    session.prepare()
    session.finish()
    assert len(at(mountpoint)) == 1
    session.unmount()


def test_mountpoint_swapped_for_symlink_is_not_followed(attempt, work, mountpoint):
    session, victim = attempt(), work / "victim"
    victim.mkdir()
    mountpoint.rename(work / "moved")
    mountpoint.symlink_to(victim)
    session.prepare()
    session.service.goodbye()
    session.helper.wait()
    assert at(victim) == []
    if at(work / "moved"):
        session.service.stop_serving()
        mounts.unmount(work / "moved", "--internal-only", "--lazy")


def test_pipelined_commands_are_accepted(attempt):
    session = attempt()
    commands = [protocol.open_command(session.source), protocol.type_command(), protocol.name(session.source),
                protocol.mntp(session.mountpoint), protocol.doit(), protocol.byee(0)]
    for command in commands:
        session.service.send(command)
    assert session.service.receive_file().error == 0
    assert [protocol.read_reply(session.service.receive()[0]) for _ in range(4)] == [0] * 4
    assert session.helper.wait().code == 0
    assert len(at(session.absolute_mountpoint)) == 1
    session.unmount()


# order of commands


@pytest.mark.parametrize("command", [
    protocol.type_command(), protocol.name("toy"), protocol.opts("max_read=4096"), protocol.mtab("rw"), "MNTP",
], ids=lambda command: repr(command[:4]))
def test_command_is_accepted_only_once(attempt, mountpoint, command):
    command = protocol.mntp(mountpoint) if command == "MNTP" else command
    service = attempt().service
    assert [service.command(command) for _ in range(3)] == [0, errno.EINVAL, errno.EINVAL]


def test_mount_needs_name_and_mountpoint(attempt, mountpoint):
    service = attempt().service
    assert service.command(protocol.doit()) == errno.EINVAL
    assert service.command(protocol.mntp(mountpoint)) == 0
    assert service.command(protocol.doit()) == errno.EINVAL
    assert service.command(protocol.name("toy")) == 0
    assert service.command(protocol.doit()) == 0


def test_mount_needs_mountpoint(attempt):
    service = attempt().service
    assert service.command(protocol.name("toy")) == 0
    assert service.command(protocol.doit()) == errno.EINVAL


def test_second_mount_is_invalid(attempt):
    session = attempt()
    session.prepare()
    assert session.service.command(protocol.doit()) == errno.EINVAL
    session.finish()
    assert len(at(session.mountpoint)) == 1
    session.unmount()


def test_unmount_before_mount_is_invalid(attempt):
    assert attempt().service.command(protocol.umnt()) == errno.EINVAL


def test_mount_unmounted_by_service_never_appears(attempt):
    session = attempt()
    session.prepare()
    assert [session.service.command(protocol.umnt()) for _ in range(2)] == [0, errno.EINVAL]
    session.service.goodbye(0)
    session.assert_fails_in_one_line()


@pytest.mark.parametrize("code", [0, 1, 255, 0xFFFFFFFF])
def test_goodbye_before_mount_is_failure(attempt, code):
    session = attempt()
    session.service.goodbye(code)
    session.assert_blames_service()


@pytest.mark.parametrize("code", [1, 2, 256, 0xFFFFFFFF])
def test_goodbye_with_failure_leaves_no_mount(attempt, code):
    session = attempt()
    session.prepare()
    session.service.goodbye(code)
    session.assert_blames_service()


def test_exit_code_of_missing_server_is_explained(attempt):
    session = attempt()
    session.service.goodbye(127)
    assert "exit status 127 (its server may not be installed)" in session.assert_fails_in_one_line()


def test_service_that_hangs_up_after_mount_leaves_no_mount(attempt):
    session = attempt()
    session.prepare()
    session.service.hang_up()
    session.assert_blames_service()


# the server in utab


def start_time(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


@pytest.mark.needs("mount_table")
def test_utab_names_server_that_sent_goodbye(attempt):
    """With fsvc-listen, the process that accepts the connection is not the server."""
    session = attempt()
    session.prepare()
    with processes.forked(lambda: session.service.send(protocol.byee(0))) as server:
        assert session.helper.wait().code == 0
        entry, = utab.entries_of(session.mountpoint)
        assert entry["ATTRS"] == f"fsvc.server={server}:{start_time(server)}"
    session.unmount()
    assert utab.entries_of(session.mountpoint) == []


def test_no_utab_entry_of_server_with_option_n(attempt):
    session = attempt("-n")
    session.mount()
    assert utab.entries_of(session.mountpoint) == []
    session.unmount()


@pytest.mark.needs("mount_table")
def test_utab_has_new_path_of_renamed_mountpoint(attempt, work, mountpoint):
    session = attempt()
    session.absolute_mountpoint = mountpoint.rename(work / "moved")
    session.mount()
    assert utab.entries_of(mountpoint) == []
    assert len(utab.entries_of(session.absolute_mountpoint)) == 1
    session.unmount()
