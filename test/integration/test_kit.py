# SPDX-License-Identifier: LGPL-2.1-or-later
"""The test kit: packets are compared to literal bytes, and both ends of the protocol to each other."""

import errno
import fcntl
import os
import socket
import stat

import pytest

from kit import compat_calls, mounts, protocol
from kit.fake_helper import HelperEnd, memfd
from kit.fake_service import ServiceEnd
from kit.leftovers import nothing_left

PACKETS = {
    "hello": (protocol.hello(), "53414654 0001 0001 00000003"),
    "hello of a later helper": (protocol.hello(1, 3, 0), "53414654 0001 0003 00000000"),
    "last": (protocol.last(), "4c415354 0001 0000"),
    "file": (protocol.file("ab"), "46494c45 00000000 616200"),
    "file with error": (protocol.file("?", errno.EINVAL), "46494c45 00000016 3f00"),
    "reply": (protocol.reply(), "5245504c 00000000"),
    "reply with error": (protocol.reply(errno.EPERM), "5245504c 00000001"),
    "arguments": (protocol.argfile(["toy", "-d"]),
                  "41524753 00000002 00000018 00000004 0000001c 00000003 746f7900 2d6400"),
    "open": (protocol.open_command("/a", os.O_RDWR, 0o644, protocol.QUIET, 0),
             "4f50454e 00000002 000001a4 00000001 00000000 2f6100"),
    "bdev": (protocol.bdev("/a", os.O_RDONLY, 0, 0, 512), "42444556 00000000 00000000 00000000 00000200 2f6100"),
    "type": (protocol.type_command(protocol.TYPE_FUSEBLK), "54595045 00000001"),
    "name": (protocol.name("/a"), "4e414d45 2f6100"),
    "mntp": (protocol.mntp("/m", stat.S_IFDIR), "4d4e5450 4000 0000 2f6d00"),
    "opts": (protocol.opts("max_read=1"), "4f505453 6d61785f726561643d3100"),
    "mtab": (protocol.mtab("-n"), "4d544142 2d6e00"),
    "doit": (protocol.doit(mounts.NOSUID | mounts.NODEV), "444f4954 00000006"),
    "umnt": (protocol.umnt(), "554d4e54"),
    "byee": (protocol.byee(1), "42594545 00000001"),
}


@pytest.mark.parametrize("packet, expected", PACKETS.values(), ids=PACKETS)
def test_packets_have_documented_bytes(packet, expected):
    assert packet == bytes.fromhex(expected)


@pytest.mark.parametrize("packet", [
    b"",
    b"OPE",
    b"WHAT\0\0\0\0",
    b"TYPE\0\0\0",
    b"TYPE\0\0\0\0\0",
    b"UMNT\0",
    b"NAME",
    b"NAMEno end",
    b"NAMEtwo\0ends\0",
    b"MNTP\0\0\0",
], ids=repr)
def test_malformed_command_is_refused(packet):
    with pytest.raises(protocol.Malformed):
        protocol.read_command(packet)


@pytest.mark.parametrize("packet, read", [
    (protocol.mntp("/m", 0x8000, 7), ("MNTP", (0x8000, 7), b"/m")),
    (protocol.umnt(), ("UMNT", (), None)),
    (protocol.opts(""), ("OPTS", (), b"")),
    (protocol.open_command("/a", 1, 2, 3, 4), ("OPEN", (1, 2, 3, 4), b"/a")),
])
def test_command_can_be_parsed(packet, read):
    assert protocol.read_command(packet) == read


@pytest.mark.parametrize("damage", [
    lambda data: b"X" + data[1:],
    lambda data: data + b"\0",
    lambda data: data[:-1],
    lambda data: data[:15] + b"\x19" + data[16:],
])
def test_malformed_argument_file_is_refused(damage):
    whole = protocol.argfile(["toy", "/a b", ""])
    assert protocol.read_argfile(whole) == ["toy", "/a b", ""]
    with pytest.raises(protocol.Malformed):
        protocol.read_argfile(damage(whole))


@pytest.mark.parametrize("command, exist", [("exit 0", True), ("exit 1", False), ("kill -SEGV $$", False)])
def test_compat_calls_exist_if_probe_succeeds(work, command, exist):
    probe = work / "probe"
    probe.write_text(f"#!/bin/sh\n{command}\n")
    probe.chmod(0o755)
    assert compat_calls.exist(probe) is exist


@pytest.fixture
def ends(closing):
    local, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return closing(HelperEnd(local)), closing(ServiceEnd(remote))


def test_both_ends_of_kit_understand_each_other(ends, source):
    helper, service = ends
    helper.send(protocol.hello(flags=1))
    helper.grant_arguments(["toy", str(source), "/m"])
    helper.grant_fusedev()
    assert service.handshake() == ["toy", str(source), "/m"]
    assert service.hello == protocol.Hello(1, 1, flags=1)
    assert fcntl.fcntl(service.argv, fcntl.F_GET_SEALS) == 0xF
    assert helper.receive_last() == protocol.Last(version=1, padding=0)

    service.send(protocol.open_command(source, os.O_RDONLY))
    service.send(protocol.bdev(source))
    service.send(protocol.doit(mounts.RDONLY))
    asked, command = helper.answer_files()
    assert [each.name for each in asked] == ["OPEN", "BDEV"]
    assert command == ("DOIT", (mounts.RDONLY,), None)
    opened, refused = service.receive_file(), service.receive_file()
    assert os.pread(opened.descriptor, 9, 0) == source.read_bytes()[:9]
    assert refused == (errno.ENOTBLK, str(source), None)

    helper.send(protocol.reply(errno.EBUSY))
    assert service.command(protocol.umnt()) == errno.EBUSY
    helper.hang_up()
    assert service.has_ended()


def test_line_of_mountinfo_is_parsed():
    line = r"29 22 0:25 / /mnt/with\040space rw,nosuid,nodev - fuse.toy /a\054b rw,user_id=0,max_read=9"
    assert mounts.parse(line) == mounts.Mount(
        "/mnt/with space", {"rw", "nosuid", "nodev"}, "fuse.toy", "/a,b", {"rw", "user_id=0", "max_read=9"})


@pytest.mark.parametrize("leave_behind", [
    lambda path: mounts.mount("left", path, "tmpfs"),
    lambda path: os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "60"),
    lambda path: os.spawnlp(os.P_WAIT, "sh", "sh", "-c", "sleep 60 & sleep 60 &"),
], ids=["mount", "child process", "orphans"])
def test_leftovers_are_reported_and_removed(leave_behind, mountpoint):
    with nothing_left(timeout_s=0.3):
        with pytest.raises(AssertionError, match="left behind"), nothing_left(timeout_s=0.3):
            leave_behind(mountpoint)


def test_open_descriptor_is_reported():
    with pytest.raises(AssertionError, match="memfd:argv"), nothing_left(timeout_s=0.3):
        left = memfd(b"")
    os.close(left)
