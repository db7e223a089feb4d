# SPDX-License-Identifier: LGPL-2.1-or-later
"""The handshake of servers with a possibly malicious helper: HELLO, the command line and /dev/fuse."""

import errno
import os
import socket
import struct

import pytest

from kit import protocol
from kit.channel import HungUp
from kit.fake_helper import ACTIVATE, memfd
from kit.waiting import wait_for


@pytest.fixture
def helper(activate, server):
    """The helper of each kind of server."""
    return activate(*server)


# starting


def test_server_answers_hello_with_its_version(helper):
    helper.send(bytes.fromhex("53414654 0001 0001 00000003"))
    assert helper.receive() == (bytes.fromhex("4c415354 0001 0000"), [])


@pytest.mark.parametrize("fields", [
    {"maximum": 2}, {"maximum": 0xFFFF}, {"minimum": 0}, {"minimum": 0, "maximum": 0xFFFF}, {"flags": 0},
    {"flags": protocol.ALLOW_OTHER}, {"flags": protocol.FUSEBLK},
], ids=str)
def test_server_accepts_later_versions_and_other_flags(helper, fields):
    assert helper.greet(**fields) == protocol.Last(version=1, padding=0)


@pytest.mark.parametrize("greeting", [
    protocol.hello(2, 1), protocol.hello(1, 0), protocol.hello(2, 2), protocol.hello(0, 0), protocol.hello(2, 0xFFFF),
    protocol.hello(0xFFFF, 0), protocol.hello(flags=4), protocol.hello(flags=7), protocol.hello(flags=1 << 31),
    protocol.hello()[:-1], protocol.hello() + b"\0", protocol.hello()[:4], b"S", b"", b"TFAS" + protocol.hello()[4:],
    protocol.last(), protocol.reply(), protocol.file("argv"), bytes(protocol.PACKET_MAX),
], ids=lambda greeting: greeting[:12].hex() or "nothing")
def test_server_refuses_invalid_hello(helper, greeting):
    helper.send(greeting)
    helper.assert_gives_up()


@pytest.mark.parametrize("listen_fds", ["2", "-1", "x", "99999999999"])
def test_server_accepts_only_one_descriptor(run, server, listen_fds):
    local, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with local, remote:
        activate = ACTIVATE.replace("LISTEN_FDS=1", f"LISTEN_FDS={listen_fds}")
        program = run("sh", "-c", activate, "sh", *server, stdin=remote)
        remote.close()
        assert program.wait().code != 0


def test_server_requires_socket(run, server, source):
    with open(source, "rb") as remote:
        assert run("sh", "-c", ACTIVATE, "sh", *server, stdin=remote).wait().code == 1


def test_server_requires_unix_socket(run, server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as remote:
        assert run("sh", "-c", ACTIVATE, "sh", *server, stdin=remote).wait().code == 1


def test_server_requires_open_descriptor(run, server):
    closed = ACTIVATE.replace("3<&0", "3<&-")
    assert run("sh", "-c", closed, "sh", *server).wait().code == 1


# the command line


def arguments_with(count, *spans, strings=b""):
    return protocol.number(protocol.ARGS, count) + b"".join(struct.pack(">II", *span) for span in spans) + strings


INVALID_ARGUMENT_FILES = {
    "empty": b"",
    "half a header": protocol.number(protocol.ARGS),
    "other magic": b"SGRA" + protocol.argfile(["toy", "/a", "/m"])[4:],
    "no arguments": arguments_with(0),
    "far too many arguments": arguments_with(0xFFFFFFFF, (16, 4), strings=b"toy\0"),
    "count that overflows": arguments_with(0x20000001, (16, 4), strings=b"toy\0"),
    "negative count": arguments_with(0x80000000, (16, 4), strings=b"toy\0"),
    "count too large": arguments_with(3, (16, 4), strings=b"toy\0"),
    "string outside the file": arguments_with(1, (4096, 4), strings=b"toy\0"),
    "string at the largest offset": arguments_with(1, (0xFFFFFFFC, 8), strings=b"toy\0"),
    "string beyond the end": arguments_with(1, (16, 5), strings=b"toy\0"),
    "length that overflows": arguments_with(1, (16, 0xFFFFFFFF), strings=b"toy\0"),
    "length 0": arguments_with(1, (16, 0), strings=b"toy\0"),
    "string without null byte": arguments_with(1, (16, 3), strings=b"toy\0"),
    "last string without null byte": arguments_with(1, (16, 3), strings=b"toy"),
    "null byte outside the file": arguments_with(1, (16, 4), strings=b"toy"),
    "invalid second string": arguments_with(2, (24, 4), (0xFFFFFFFF, 2), strings=b"toy\0"),
}


@pytest.mark.parametrize("content", INVALID_ARGUMENT_FILES.values(), ids=INVALID_ARGUMENT_FILES)
def test_invalid_argument_file_ends_server(helper, content):
    helper.greet()
    helper.grant("argv", memfd(content))
    helper.assert_gives_up()


def sparse_memfd(head, size):
    descriptor = os.memfd_create("argv")
    os.write(descriptor, head)
    os.ftruncate(descriptor, size)
    return descriptor


def pipe_end(number):
    ends = os.pipe2(os.O_CLOEXEC)
    os.close(ends[1 - number])
    return ends[number]


OTHER_FILES = {
    "directory": lambda: os.open("/", os.O_RDONLY),
    "O_PATH descriptor": lambda: os.open("/", os.O_PATH),
    "/dev/zero": lambda: os.open("/dev/zero", os.O_RDONLY),
    "/dev/null": lambda: os.open("/dev/null", os.O_RDWR),
    "/dev/fuse": lambda: os.open("/dev/fuse", os.O_RDWR),
    "read end of a pipe": lambda: pipe_end(0),
    "write end of a pipe": lambda: pipe_end(1),
    "socket": lambda: socket.socket(socket.AF_UNIX).detach(),
    "too many arguments": lambda: sparse_memfd(arguments_with(0x0FFFFFFF), 1 << 40),
    "too long string": lambda: sparse_memfd(arguments_with(1, (16, 0xFFFFFFF0), strings=b"toy"), 1 << 40),
}


@pytest.mark.parametrize("make", OTHER_FILES.values(), ids=OTHER_FILES)
def test_descriptor_that_is_no_argument_file_ends_server(helper, make):
    helper.greet()
    helper.grant("argv", make())
    helper.assert_gives_up()


def test_server_does_not_block_on_pipe_as_argument_file(helper):
    helper.greet()
    ends = os.pipe2(os.O_CLOEXEC)
    helper.received += ends
    helper.send(protocol.file("argv"), ends[0])
    helper.assert_gives_up()


# the two file descriptors of the handshake


INVALID_FILES = {
    "no descriptor": lambda path, fd: (protocol.file(path), []),
    "error": lambda path, fd: (protocol.file(path, errno.EACCES), []),
    "error with descriptor": lambda path, fd: (protocol.file(path, errno.EACCES), [fd]),
    "largest error": lambda path, fd: (protocol.file(path, 0xFFFFFFFF), []),
    "most negative error": lambda path, fd: (protocol.file(path, 0x80000000), []),
    "other name": lambda path, fd: (protocol.file(f"{path}2"), [fd]),
    "empty name": lambda path, fd: (protocol.file(""), [fd]),
    "no string": lambda path, fd: (protocol.file(b""), [fd]),
    "string without null byte": lambda path, fd: (protocol.file(path.encode()), [fd]),
    "string with two null bytes": lambda path, fd: (protocol.file(f"{path}\0"), [fd]),
    "half a packet": lambda path, fd: (protocol.file(path)[:6], [fd]),
    "other magic": lambda path, fd: (b"ELIF" + protocol.file(path)[4:], [fd]),
    "reply": lambda path, fd: (protocol.reply(), [fd]),
    "two descriptors": lambda path, fd: (protocol.file(path), [fd, fd]),
    "more descriptors than fit": lambda path, fd: (protocol.file(path), [fd] * 8),
    "too long packet": lambda path, fd: (protocol.file(path.ljust(protocol.PACKET_MAX)), [fd]),
}


@pytest.mark.parametrize("make_packet", INVALID_FILES.values(), ids=INVALID_FILES)
def test_server_refuses_invalid_file_for_command_line(helper, make_packet):
    helper.greet()
    helper.received.append(memfd(protocol.argfile(["toy", "/a", "/m"])))
    packet, descriptors = make_packet("argv", helper.received[-1])
    helper.send(packet, *descriptors)
    helper.assert_gives_up()


@pytest.mark.parametrize("make_packet", INVALID_FILES.values(), ids=INVALID_FILES)
def test_server_refuses_invalid_file_for_fuse_device(helper, make_packet):
    helper.greet()
    helper.grant_arguments(["toy", "/a", "/m"])
    helper.received.append(os.open("/dev/fuse", os.O_RDWR))
    packet, descriptors = make_packet("fusedev", helper.received[-1])
    helper.send(packet, *descriptors)
    helper.assert_gives_up()


# hanging up


STEPS = {
    "before HELLO": lambda helper: None,
    "after HELLO": lambda helper: helper.send(protocol.hello()),
    "after LAST": lambda helper: helper.greet(),
    "after argv": lambda helper: (helper.greet(), helper.grant_arguments(["toy", "/a", "/m"])),
    "after fusedev": lambda helper: helper.handshake(["toy", "/a", "/m"]),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_server_ends_when_helper_hangs_up(helper, step):
    step(helper)
    helper.hang_up()
    helper.assert_gives_up()


# unexpected descriptors


def test_server_closes_descriptor_sent_with_hello(helper, source):
    unwanted = os.open(source, os.O_RDONLY)
    helper.received.append(unwanted)
    helper.send(protocol.hello(), unwanted)
    try:
        helper.receive_last()
    except HungUp:
        helper.assert_gives_up()
    else:
        wait_for(lambda: str(source) not in helper.server.descriptors(), what="the descriptor to be closed")
