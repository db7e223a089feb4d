# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers ask for their files and their mount, word by word, and bear with a helper that lies about them."""

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

ORDER = ["OPEN", "BDEV", "TYPE", "NAME", "MNTP", "OPTS", "MTAB", "DOIT", "BYEE"]
MAY_BE_LEFT_OUT = {"OPEN", "BDEV", "OPTS", "MTAB"}
STEPS = ["TYPE", "NAME", "MNTP", "DOIT"]  # what each session holds


@pytest.fixture
def greeted(greet, server):
    """The helper of each kind of server, behind the handshake."""
    return functools.partial(greet, server)


@pytest.fixture
def served(greeted):
    """A whole session with a mount at its end."""

    def served(*options, **places):
        helper = greeted(*options, **places)
        helper.commands = helper.commands_until("DOIT")
        helper.really_mount(helper.commands)
        helper.send(protocol.reply())
        assert helper.receive_command() == ("BYEE", (0,), None)
        with pytest.raises(HungUp):
            helper.receive()
        return helper

    return served


# what a server says


def test_a_server_says_its_words_in_the_usual_order(served, image, mountpoint):
    helper = served()
    said = list(helper.commands) + ["BYEE"]
    assert said == [name for name in ORDER if name in said]
    assert set(ORDER) - set(said) <= MAY_BE_LEFT_OUT
    assert "OPEN" in said or "BDEV" in said
    mounts.unmount(mountpoint)
    assert helper.server.wait().code == 0


def test_a_server_asks_for_its_source_by_the_name_that_it_was_given(greeted, image):
    asked, _ = greeted().answer_files()
    for command in asked:
        flags, mode, request, block = command.numbers
        assert command.text == os.fsencode(image)
        assert flags & ~(os.O_ACCMODE | os.O_CLOEXEC | os.O_EXCL | 0o100000) == 0
        assert (mode, request & ~protocol.QUIET) == (0, 0)
        assert block in (0, 512, 1024, 2048, 4096)


def test_a_server_names_what_the_command_line_says(greeted, image, mountpoint):
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
def test_a_flag_on_the_command_line_is_a_flag_of_the_mount(greeted, option, flag):
    commands = greeted("-o", option).commands_until("DOIT")
    assert commands["DOIT"].numbers[0] & flag
    assert option.encode() not in options_of(commands, "OPTS")


def options_of(commands, name):
    return commands[name].text.split(b",") if name in commands else []


@pytest.mark.parametrize("option", ["allow_other", "default_permissions", "max_read=4096"])
def test_an_option_of_the_kernel_is_asked_for_as_one(greeted, option):
    commands = greeted("-o", option).commands_until("DOIT")
    assert option.encode() in options_of(commands, "OPTS")
    assert option.encode() not in options_of(commands, "MTAB")


def test_a_server_asks_for_no_entry_where_the_caller_wants_none(greeted):
    assert b"-n" in options_of(greeted("-n").commands_until("DOIT"), "MTAB")


def test_a_server_mounts_read_only_where_the_caller_says_so_in_short(greeted):
    assert greeted("-r").commands_until("DOIT")["DOIT"].numbers[0] & mounts.RDONLY


def test_a_server_asks_for_fuseblk_where_the_caller_does(greeted, image):
    with loop_devices.loop_device(image) as device:
        commands = greeted("-o", f"blkdev,fsname={device}", source=device).commands_until("DOIT")
    assert commands["TYPE"].numbers == (protocol.TYPE_FUSEBLK,)
    assert commands["NAME"].text == device.encode()
    assert b"blkdev" not in options_of(commands, "OPTS")


def test_a_name_on_the_command_line_is_the_name_of_the_mount(greeted):
    assert greeted("-o", "fsname=Holiday").commands_until("DOIT")["NAME"].text == b"Holiday"


@pytest.mark.parametrize("server", map(SERVERS_BY_NAME.get, SINGLE_FILE), indirect=True, ids=SINGLE_FILE)
def test_a_server_that_is_one_file_expects_a_file_to_be_mounted_on(greeted, work):
    (work / "place").touch()
    commands = greeted("-o", "file_mount", mountpoint=work / "place").commands_until("DOIT")
    assert commands["MNTP"].numbers in ((stat.S_IFREG, 0), (0, 0))
    assert b"file_mount" not in options_of(commands, "OPTS")


def test_the_time_that_the_helper_may_take_means_nothing_to_a_server(greeted):
    commands = greeted("-o", "fsvc.timeout=20").commands_until("DOIT")
    assert b"fsvc.timeout=20" not in options_of(commands, "OPTS")


# what a server serves


def test_a_server_serves_until_it_is_unmounted(served, mountpoint):
    helper = served()
    assert os.listdir(mountpoint)
    assert all(os.stat(mountpoint / name, follow_symlinks=False) for name in os.listdir(mountpoint))
    assert helper.server.runs()
    mounts.unmount(mountpoint)
    assert helper.server.wait().code == 0


# a helper that fails


@pytest.mark.parametrize("error", [errno.EACCES, errno.ENOENT, errno.EROFS, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_server_without_its_source_gives_up(greeted, error):
    helper = greeted()
    with pytest.raises(HungUp):
        while (command := helper.receive_command()).name in ("OPEN", "BDEV"):
            helper.send(protocol.file(os.fsdecode(command.text), error))
        assert command.name == "BYEE" and command.numbers[0] != 0
        helper.receive_command()
    helper.gives_up()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error", [errno.EPERM, 0x80000000, 0xFFFFFFFF])
def test_a_server_that_is_refused_a_step_gives_up(greeted, step, error):
    helper = greeted()
    helper.commands_until(step)
    with pytest.raises(HungUp):
        helper.send(protocol.reply(error))
        while (command := helper.receive_command()).name != "BYEE":  # a server that is wrapped may try once more
            helper.send(protocol.reply(error))
        assert command.numbers[0] != 0
        helper.receive_command()
    helper.gives_up()


REPLIES = {
    "half a reply": protocol.reply()[:4],
    "a byte too few": protocol.reply()[:-1],
    "a byte too many": protocol.reply() + b"\0",
    "another magic": b"LPER" + protocol.reply()[4:],
    "a file": protocol.file("?"),
    "nothing": b"",
    "the longest packet": protocol.reply().ljust(protocol.PACKET_MAX, b"\0"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("answer", REPLIES.values(), ids=REPLIES)
def test_a_server_gives_up_when_a_reply_is(greeted, step, answer):
    helper = greeted()
    helper.commands_until(step)
    helper.send(answer)
    helper.gives_up()


FILES = {
    "for another path": lambda path, fd: (protocol.file(path + "2"), [fd]),
    "for a path cut short": lambda path, fd: (protocol.file(path[:-1]), [fd]),
    "for a question mark": lambda path, fd: (protocol.file("?", errno.EINVAL), []),
    "without a descriptor": lambda path, fd: (protocol.file(path), []),
    "without its end": lambda path, fd: (protocol.file(path.encode()), [fd]),
    "with two descriptors": lambda path, fd: (protocol.file(path), [fd, fd]),
    "with more descriptors than fit": lambda path, fd: (protocol.file(path), [fd] * 8),
    "cut short": lambda path, fd: (protocol.file(path)[:7], [fd]),
    "of another kind": lambda path, fd: (protocol.reply(), [fd]),
    "longer than any": lambda path, fd: (protocol.file(path.ljust(protocol.PACKET_MAX)), [fd]),
}


@pytest.mark.parametrize("lie", FILES.values(), ids=FILES)
def test_a_server_gives_up_when_a_file_comes(greeted, image, lie):
    helper = greeted()
    helper.received.append(os.open(image, os.O_RDONLY))
    with pytest.raises(HungUp):
        while (command := helper.receive_command()).name in ("OPEN", "BDEV"):  # it may ask once more
            packet, descriptors = lie(os.fsdecode(command.text), helper.received[-1])
            helper.send(packet, *descriptors)
        assert command.name == "BYEE" and command.numbers[0] != 0
        helper.receive_command()
    helper.gives_up()


@pytest.mark.parametrize("make", [
    lambda: os.open("/", os.O_RDONLY), lambda: os.open("/", os.O_PATH), lambda: os.open("/dev/null", os.O_RDWR),
    lambda: socket.socket(socket.AF_UNIX).detach(),
], ids=["directory", "place", "null device", "socket"])
def test_a_server_survives_a_source_that_holds_nothing(greeted, make):
    helper = greeted()
    command = helper.receive_command()
    helper.grant(os.fsdecode(command.text), make())
    helper.hang_up()
    helper.gives_up()


@pytest.mark.parametrize("step", STEPS)
def test_a_server_ends_when_the_helper_hangs_up_instead_of_answering(greeted, step, mountpoint):
    helper = greeted()
    helper.commands_until(step)
    helper.hang_up()
    helper.gives_up()
    assert mounts.at(mountpoint) == []


def test_a_server_ends_when_the_helper_hangs_up_instead_of_a_file(greeted):
    helper = greeted()
    assert helper.receive_command().name in ("OPEN", "BDEV")
    helper.hang_up()
    helper.gives_up()


def test_a_server_ends_when_its_connection_to_the_kernel_is_none(activate, server, image, mountpoint):
    helper = activate(*server)
    helper.greet()
    helper.grant_arguments(["toy", str(image), str(mountpoint)])
    helper.grant("fusedev", os.open("/dev/null", os.O_RDWR))
    assert helper.goodbye_code() != 0
    helper.gives_up()


@pytest.mark.skipif(not passrights_is_known(), reason="this kernel has no SO_PASSRIGHTS")
@pytest.mark.parametrize("server", map(SERVERS_BY_NAME.get, SINGLE_FILE), indirect=True, ids=SINGLE_FILE)
def test_a_server_that_mounts_takes_no_descriptor_any_more(greeted, source):
    helper = greeted()
    helper.commands_until("NAME")
    helper.received.append(os.open(source, os.O_RDONLY))
    with pytest.raises(PermissionError):
        helper.send(protocol.reply(), helper.received[-1])


def test_a_descriptor_that_comes_with_a_reply_is_not_kept(greeted, source):
    helper = greeted()
    helper.commands_until("NAME")
    helper.received.append(os.open(source, os.O_RDONLY))
    with contextlib.suppress(PermissionError, HungUp):
        helper.send(protocol.reply(), helper.received[-1])
        helper.receive_command()
    wait_for(lambda: str(source) not in helper.server.descriptors(), what="closing")


def test_a_file_that_was_refused_and_comes_all_the_same_is_not_kept(greeted, source):
    helper = greeted()
    command = helper.receive_command()
    unwanted = os.open(source, os.O_RDONLY)
    helper.received.append(unwanted)
    helper.send(protocol.file(os.fsdecode(command.text), errno.EACCES), unwanted)
    wait_for(lambda: str(source) not in helper.server.descriptors(), what="closing")
