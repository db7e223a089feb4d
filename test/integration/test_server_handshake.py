# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers greet a helper that may be a liar, and take a command line and descriptors from it."""

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


# being started


def test_a_server_answers_a_greeting_with_its_version(helper):
    helper.send(bytes.fromhex("53414654 0001 0001 00000003"))
    assert helper.receive() == (bytes.fromhex("4c415354 0001 0000"), [])


@pytest.mark.parametrize("words", [
    {"maximum": 2}, {"maximum": 0xFFFF}, {"minimum": 0}, {"minimum": 0, "maximum": 0xFFFF}, {"flags": 0},
    {"flags": protocol.ALLOW_OTHER}, {"flags": protocol.FUSEBLK},
], ids=str)
def test_a_later_or_stricter_helper_is_understood(helper, words):
    assert helper.greet(**words) == protocol.Last(version=1, padding=0)


@pytest.mark.parametrize("greeting", [
    protocol.hello(2, 1), protocol.hello(1, 0), protocol.hello(2, 2), protocol.hello(0, 0), protocol.hello(2, 0xFFFF),
    protocol.hello(0xFFFF, 0), protocol.hello(flags=4), protocol.hello(flags=7), protocol.hello(flags=1 << 31),
    protocol.hello()[:-1], protocol.hello() + b"\0", protocol.hello()[:4], b"S", b"", b"TFAS" + protocol.hello()[4:],
    protocol.last(), protocol.reply(), protocol.file("argv"), bytes(protocol.PACKET_MAX),
], ids=lambda greeting: greeting[:12].hex() or "nothing")
def test_a_server_refuses_a_greeting_that_makes_no_sense(helper, greeting):
    helper.send(greeting)
    helper.gives_up()


@pytest.mark.parametrize("listen_fds", ["2", "-1", "x", "99999999999"])
def test_a_server_wants_one_connection_and_not_another_number(run, server, listen_fds):
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, its:
        activate = ACTIVATE.replace("LISTEN_FDS=1", f"LISTEN_FDS={listen_fds}")
        program = run("sh", "-c", activate, "sh", *server, stdin=its)
        its.close()
        assert program.wait().code != 0


def test_a_server_wants_a_socket_and_not_a_file(run, server, source):
    with open(source, "rb") as its:
        assert run("sh", "-c", ACTIVATE, "sh", *server, stdin=its).wait().code == 1


def test_a_server_wants_a_local_socket(run, server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as its:
        assert run("sh", "-c", ACTIVATE, "sh", *server, stdin=its).wait().code == 1


def test_a_server_wants_an_open_descriptor(run, server):
    closed = ACTIVATE.replace("3<&0", "3<&-")
    assert run("sh", "-c", closed, "sh", *server).wait().code == 1


# the command line


def arguments_with(count, *spans, strings=b""):
    return protocol.number(protocol.ARGS, count) + b"".join(struct.pack(">II", *span) for span in spans) + strings


LIES = {
    "nothing": b"",
    "half a header": protocol.number(protocol.ARGS),
    "another magic": b"SGRA" + protocol.argfile(["toy", "/a", "/m"])[4:],
    "no argument": arguments_with(0),
    "far too many arguments": arguments_with(0xFFFFFFFF, (16, 4), strings=b"toy\0"),
    "a number that wraps": arguments_with(0x20000001, (16, 4), strings=b"toy\0"),
    "a number that is negative": arguments_with(0x80000000, (16, 4), strings=b"toy\0"),
    "more arguments than spans": arguments_with(3, (16, 4), strings=b"toy\0"),
    "a string outside": arguments_with(1, (4096, 4), strings=b"toy\0"),
    "a string at the far end": arguments_with(1, (0xFFFFFFFC, 8), strings=b"toy\0"),
    "a string over the end": arguments_with(1, (16, 5), strings=b"toy\0"),
    "a length that wraps": arguments_with(1, (16, 0xFFFFFFFF), strings=b"toy\0"),
    "a string of no bytes": arguments_with(1, (16, 0), strings=b"toy\0"),
    "a string without its end": arguments_with(1, (16, 3), strings=b"toy\0"),
    "a last string without its end": arguments_with(1, (16, 3), strings=b"toy"),
    "a string whose end lies outside": arguments_with(1, (16, 4), strings=b"toy"),
    "a second string that lies": arguments_with(2, (24, 4), (0xFFFFFFFF, 2), strings=b"toy\0"),
}


@pytest.mark.parametrize("content", LIES.values(), ids=LIES)
def test_a_server_survives_a_command_line_that_lies(helper, content):
    helper.greet()
    helper.grant("argv", memfd(content))
    helper.gives_up()


def sparse_memfd(head, size):
    descriptor = os.memfd_create("argv")
    os.write(descriptor, head)
    os.ftruncate(descriptor, size)
    return descriptor


def pipe_end(number):
    ends = os.pipe2(os.O_CLOEXEC)
    os.close(ends[1 - number])
    return ends[number]


NO_COMMAND_LINES = {
    "a directory": lambda: os.open("/", os.O_RDONLY),
    "a place": lambda: os.open("/", os.O_PATH),
    "zeroes without end": lambda: os.open("/dev/zero", os.O_RDONLY),
    "nothing": lambda: os.open("/dev/null", os.O_RDWR),
    "a connection to the kernel": lambda: os.open("/dev/fuse", os.O_RDWR),
    "a pipe to read": lambda: pipe_end(0),
    "a pipe to write": lambda: pipe_end(1),
    "a socket": lambda: socket.socket(socket.AF_UNIX).detach(),
    "endless spans": lambda: sparse_memfd(arguments_with(0x0FFFFFFF), 1 << 40),
    "an endless string": lambda: sparse_memfd(arguments_with(1, (16, 0xFFFFFFF0), strings=b"toy"), 1 << 40),
}


@pytest.mark.parametrize("make", NO_COMMAND_LINES.values(), ids=NO_COMMAND_LINES)
def test_a_server_survives_a_descriptor_that_is_no_command_line(helper, make):
    helper.greet()
    helper.grant("argv", make())
    helper.gives_up()


def test_a_server_does_not_wait_for_a_command_line_from_a_pipe(helper):
    helper.greet()
    ends = os.pipe2(os.O_CLOEXEC)
    helper.received += ends
    helper.send(protocol.file("argv"), ends[0])
    helper.gives_up()


# the two files of the handshake


GRANTS = {
    "no descriptor": lambda path, fd: (protocol.file(path), []),
    "an error": lambda path, fd: (protocol.file(path, errno.EACCES), []),
    "an error and a descriptor": lambda path, fd: (protocol.file(path, errno.EACCES), [fd]),
    "the largest error": lambda path, fd: (protocol.file(path, 0xFFFFFFFF), []),
    "the most negative error": lambda path, fd: (protocol.file(path, 0x80000000), []),
    "another name": lambda path, fd: (protocol.file(f"{path}2"), [fd]),
    "no name": lambda path, fd: (protocol.file(""), [fd]),
    "no string": lambda path, fd: (protocol.file(b""), [fd]),
    "a string without its end": lambda path, fd: (protocol.file(path.encode()), [fd]),
    "a string with two ends": lambda path, fd: (protocol.file(f"{path}\0"), [fd]),
    "half a packet": lambda path, fd: (protocol.file(path)[:6], [fd]),
    "another magic": lambda path, fd: (b"ELIF" + protocol.file(path)[4:], [fd]),
    "a reply": lambda path, fd: (protocol.reply(), [fd]),
    "two descriptors": lambda path, fd: (protocol.file(path), [fd, fd]),
    "more descriptors than fit": lambda path, fd: (protocol.file(path), [fd] * 8),
    "a packet longer than any": lambda path, fd: (protocol.file(path.ljust(protocol.PACKET_MAX)), [fd]),
}


@pytest.mark.parametrize("lie", GRANTS.values(), ids=GRANTS)
def test_a_server_refuses_a_command_line_that_comes_with(helper, lie):
    helper.greet()
    helper.received.append(memfd(protocol.argfile(["toy", "/a", "/m"])))
    packet, descriptors = lie("argv", helper.received[-1])
    helper.send(packet, *descriptors)
    helper.gives_up()


@pytest.mark.parametrize("lie", GRANTS.values(), ids=GRANTS)
def test_a_server_refuses_a_connection_to_the_kernel_that_comes_with(helper, lie):
    helper.greet()
    helper.grant_arguments(["toy", "/a", "/m"])
    helper.received.append(os.open("/dev/fuse", os.O_RDWR))
    packet, descriptors = lie("fusedev", helper.received[-1])
    helper.send(packet, *descriptors)
    helper.gives_up()


# hanging up


STEPS = {
    "at once": lambda helper: None,
    "after its greeting": lambda helper: helper.send(protocol.hello()),
    "after the answer": lambda helper: helper.greet(),
    "after the command line": lambda helper: (helper.greet(), helper.grant_arguments(["toy", "/a", "/m"])),
    "after the handshake": lambda helper: helper.handshake(["toy", "/a", "/m"]),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_server_ends_when_the_helper_hangs_up(helper, step):
    step(helper)
    helper.hang_up()
    helper.gives_up()


# descriptors that nobody asked for


def test_a_descriptor_that_comes_with_the_greeting_is_not_kept(helper, source):
    unwanted = os.open(source, os.O_RDONLY)
    helper.received.append(unwanted)
    helper.send(protocol.hello(), unwanted)
    try:
        helper.receive_last()
    except HungUp:
        helper.gives_up()
    else:
        wait_for(lambda: str(source) not in helper.server.descriptors(), what="closing")
