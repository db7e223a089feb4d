# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sessions of servers with a possibly malicious helper: files, the mount, and replies."""

import contextlib
import errno
import functools
import os
import socket
import stat

import pytest

from kit import loop_devices, mounts, protocol
from kit.channel import HungUp, passrights_is_known
from kit.fake_helper import SERVERS_BY_NAME, SINGLE_FILE
from kit.waiting import wait_for

COMMAND_ORDER = ["OPEN", "BDEV", "TYPE", "NAME", "MNTP", "OPTS", "MTAB", "DOIT", "BYEE"]
OPTIONAL_COMMANDS = {"OPEN", "BDEV", "OPTS", "MTAB"}
STEPS = ["TYPE", "NAME", "MNTP", "DOIT"]  # commands of each session


@pytest.fixture
def greeted(greet, server):
    """The helper of each kind of server, after the handshake."""
    return functools.partial(greet, server)


@pytest.fixture
def served(greeted):
    """Run a complete session that mounts."""

    def served(*options, **paths):
        helper = greeted(*options, **paths)
        helper.commands = helper.commands_until("DOIT")
        helper.make_mount(helper.commands)
        helper.send(protocol.reply())
        assert helper.receive_command() == ("BYEE", (0,), None)
        with pytest.raises(HungUp):
            helper.receive()
        return helper

    return served


# commands of servers


def test_server_sends_commands_in_order(served, image, mountpoint):
    helper = served()
    said = list(helper.commands) + ["BYEE"]
    assert said == [name for name in COMMAND_ORDER if name in said]
    assert set(COMMAND_ORDER) - set(said) <= OPTIONAL_COMMANDS
    assert "OPEN" in said or "BDEV" in said
    mounts.unmount(mountpoint)
    assert helper.server.wait().code == 0


def test_server_requests_source_by_its_name(greeted, image):
    asked, _ = greeted().answer_files()
    for command in asked:
        flags, mode, request, block = command.numbers
        assert command.text == os.fsencode(image)
        assert flags & ~(os.O_ACCMODE | os.O_CLOEXEC | os.O_EXCL | 0o100000) == 0
        assert (mode, request & ~protocol.QUIET) == (0, 0)
        assert block in (0, 512, 1024, 2048, 4096)


def test_server_mounts_as_command_line_requests(greeted, image, mountpoint):
    commands = greeted().commands_until("DOIT")
    assert commands["TYPE"].numbers == (0,)
    assert commands["NAME"].text in (os.fsencode(image), b"toy")
    assert commands["MNTP"].text == os.fsencode(mountpoint)
    assert commands["MNTP"].numbers in ((stat.S_IFDIR, 0), (0, 0))
    assert commands["DOIT"].numbers[0] & ~(mounts.NOSUID | mounts.NODEV | mounts.RDONLY) == 0


@pytest.mark.parametrize("option, flag", [
    ("ro", mounts.RDONLY), ("noexec", mounts.NOEXEC), ("nosuid", mounts.NOSUID), ("noatime", mounts.NOATIME),
    ("sync", mounts.SYNCHRONOUS),
])
def test_mount_flag_of_command_line_is_sent(greeted, option, flag):
    commands = greeted("-o", option).commands_until("DOIT")
    assert commands["DOIT"].numbers[0] & flag
    assert option.encode() not in options_of(commands, "OPTS")


def options_of(commands, name):
    return commands[name].text.split(b",") if name in commands else []


@pytest.mark.parametrize("option", ["allow_other", "default_permissions", "max_read=4096"])
def test_kernel_option_of_command_line_is_sent(greeted, option):
    commands = greeted("-o", option).commands_until("DOIT")
    assert option.encode() in options_of(commands, "OPTS")
    assert option.encode() not in options_of(commands, "MTAB")


def test_option_n_is_sent_in_mtab(greeted):
    assert b"-n" in options_of(greeted("-n").commands_until("DOIT"), "MTAB")


def test_option_r_makes_read_only_mount(greeted):
    assert greeted("-r").commands_until("DOIT")["DOIT"].numbers[0] & mounts.RDONLY


def test_server_requests_fuseblk_for_option_blkdev(greeted, image):
    with loop_devices.loop_device(image) as device:
        commands = greeted("-o", f"blkdev,fsname={device}", source=device).commands_until("DOIT")
    assert commands["TYPE"].numbers == (protocol.TYPE_FUSEBLK,)
    assert commands["NAME"].text == device.encode()
    assert b"blkdev" not in options_of(commands, "OPTS")


def test_fsname_option_is_sent_as_name(greeted):
    assert greeted("-o", "fsname=Holiday").commands_until("DOIT")["NAME"].text == b"Holiday"


@pytest.mark.parametrize("server", map(SERVERS_BY_NAME.get, SINGLE_FILE), indirect=True, ids=SINGLE_FILE)
def test_single_file_server_requires_file_as_mountpoint(greeted, work):
    (work / "target").touch()
    commands = greeted("-o", "file_mount", mountpoint=work / "target").commands_until("DOIT")
    assert commands["MNTP"].numbers in ((stat.S_IFREG, 0), (0, 0))
    assert b"file_mount" not in options_of(commands, "OPTS")


def test_timeout_option_is_not_sent(greeted):
    commands = greeted("-o", "fsvc.timeout=20").commands_until("DOIT")
    assert b"fsvc.timeout=20" not in options_of(commands, "OPTS")


# serving


def test_server_serves_until_unmount(served, mountpoint):
    helper = served()
    assert os.listdir(mountpoint)
    assert all(os.stat(mountpoint / name, follow_symlinks=False) for name in os.listdir(mountpoint))
    assert helper.server.runs()
    mounts.unmount(mountpoint)
    assert helper.server.wait().code == 0


# errors of the helper


@pytest.mark.parametrize("error", [errno.EACCES, errno.ENOENT, errno.EROFS, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_server_gives_up_without_source(greeted, error):
    helper = greeted()
    with pytest.raises(HungUp):
        while (command := helper.receive_command()).name in ("OPEN", "BDEV"):
            helper.send(protocol.file(os.fsdecode(command.text), error))
        assert command.name == "BYEE" and command.numbers[0] != 0
        helper.receive_command()
    helper.assert_gives_up()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error", [errno.EPERM, 0x80000000, 0xFFFFFFFF])
def test_server_gives_up_if_command_is_refused(greeted, step, error):
    helper = greeted()
    helper.commands_until(step)
    with pytest.raises(HungUp):
        helper.send(protocol.reply(error))
        while (command := helper.receive_command()).name != "BYEE":  # a wrapped server may try again
            helper.send(protocol.reply(error))
        assert command.numbers[0] != 0
        helper.receive_command()
    helper.assert_gives_up()


INVALID_REPLIES = {
    "half a reply": protocol.reply()[:4],
    "one byte too short": protocol.reply()[:-1],
    "one byte too long": protocol.reply() + b"\0",
    "other magic": b"LPER" + protocol.reply()[4:],
    "file": protocol.file("?"),
    "empty packet": b"",
    "longest packet": protocol.reply().ljust(protocol.PACKET_MAX, b"\0"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("answer", INVALID_REPLIES.values(), ids=INVALID_REPLIES)
def test_server_gives_up_after_invalid_reply(greeted, step, answer):
    helper = greeted()
    helper.commands_until(step)
    helper.send(answer)
    helper.assert_gives_up()


INVALID_FILES = {
    "other path": lambda path, fd: (protocol.file(path + "2"), [fd]),
    "truncated path": lambda path, fd: (protocol.file(path[:-1]), [fd]),
    "question mark as path": lambda path, fd: (protocol.file("?", errno.EINVAL), []),
    "no descriptor": lambda path, fd: (protocol.file(path), []),
    "no null byte": lambda path, fd: (protocol.file(path.encode()), [fd]),
    "two descriptors": lambda path, fd: (protocol.file(path), [fd, fd]),
    "more descriptors than fit": lambda path, fd: (protocol.file(path), [fd] * 8),
    "truncated": lambda path, fd: (protocol.file(path)[:7], [fd]),
    "reply": lambda path, fd: (protocol.reply(), [fd]),
    "too long packet": lambda path, fd: (protocol.file(path.ljust(protocol.PACKET_MAX)), [fd]),
}


@pytest.mark.parametrize("make_packet", INVALID_FILES.values(), ids=INVALID_FILES)
def test_server_gives_up_after_invalid_file(greeted, image, make_packet):
    helper = greeted()
    helper.received.append(os.open(image, os.O_RDONLY))
    with pytest.raises(HungUp):
        while (command := helper.receive_command()).name in ("OPEN", "BDEV"):  # it may ask again
            packet, descriptors = make_packet(os.fsdecode(command.text), helper.received[-1])
            helper.send(packet, *descriptors)
        assert command.name == "BYEE" and command.numbers[0] != 0
        helper.receive_command()
    helper.assert_gives_up()


@pytest.mark.parametrize("make", [
    lambda: os.open("/", os.O_RDONLY), lambda: os.open("/", os.O_PATH), lambda: os.open("/dev/null", os.O_RDWR),
    lambda: socket.socket(socket.AF_UNIX).detach(),
], ids=["directory", "O_PATH descriptor", "null device", "socket"])
def test_server_ends_with_descriptor_of_other_file_type(greeted, make):
    helper = greeted()
    command = helper.receive_command()
    helper.grant(os.fsdecode(command.text), make())
    helper.hang_up()
    helper.assert_gives_up()


@pytest.mark.parametrize("step", STEPS)
def test_server_ends_when_helper_hangs_up_instead_of_reply(greeted, step, mountpoint):
    helper = greeted()
    helper.commands_until(step)
    helper.hang_up()
    helper.assert_gives_up()
    assert mounts.at(mountpoint) == []


def test_server_ends_when_helper_hangs_up_instead_of_file(greeted):
    helper = greeted()
    assert helper.receive_command().name in ("OPEN", "BDEV")
    helper.hang_up()
    helper.assert_gives_up()


def test_server_ends_if_fuse_device_is_other_file(activate, server, image, mountpoint):
    helper = activate(*server)
    helper.greet()
    helper.grant_arguments(["toy", str(image), str(mountpoint)])
    helper.grant("fusedev", os.open("/dev/null", os.O_RDWR))
    assert helper.goodbye_code() != 0
    helper.assert_gives_up()


@pytest.mark.skipif(not passrights_is_known(), reason="this kernel has no SO_PASSRIGHTS")
@pytest.mark.parametrize("server", map(SERVERS_BY_NAME.get, SINGLE_FILE), indirect=True, ids=SINGLE_FILE)
def test_server_receives_no_descriptors_after_files(greeted, source):
    helper = greeted()
    helper.commands_until("NAME")
    helper.received.append(os.open(source, os.O_RDONLY))
    with pytest.raises(PermissionError):
        helper.send(protocol.reply(), helper.received[-1])


def test_server_closes_descriptor_sent_with_reply(greeted, source):
    helper = greeted()
    helper.commands_until("NAME")
    helper.received.append(os.open(source, os.O_RDONLY))
    with contextlib.suppress(PermissionError, HungUp):
        helper.send(protocol.reply(), helper.received[-1])
        helper.receive_command()
    wait_for(lambda: str(source) not in helper.server.descriptors(), what="the descriptor to be closed")


def test_server_closes_descriptor_of_refused_file(greeted, source):
    helper = greeted()
    command = helper.receive_command()
    unwanted = os.open(source, os.O_RDONLY)
    helper.received.append(unwanted)
    helper.send(protocol.file(os.fsdecode(command.text), errno.EACCES), unwanted)
    wait_for(lambda: str(source) not in helper.server.descriptors(), what="the descriptor to be closed")
