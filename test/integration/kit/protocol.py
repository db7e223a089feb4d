# SPDX-License-Identifier: LGPL-2.1-or-later
"""The packets of the service protocol, version 1: functions that create and parse them.

Parsers are strict, as they check the project's code. Functions that create packets accept any values, as tests send
invalid packets.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

HELLO, LAST, ARGS, FILE, REPL = 0x53414654, 0x4C415354, 0x41524753, 0x46494C45, 0x5245504C
OPEN, BDEV, TYPE, NAME, MNTP = 0x4F50454E, 0x42444556, 0x54595045, 0x4E414D45, 0x4D4E5450
OPTS, MTAB, DOIT, UMNT, BYEE = 0x4F505453, 0x4D544142, 0x444F4954, 0x554D4E54, 0x42594545

ALLOW_OTHER, FUSEBLK = 1, 2  # flags of HELLO
QUIET = 1  # request_flags of OPEN and BDEV
TYPE_FUSEBLK = 1  # flags of TYPE
PACKET_MAX = 65536


class Malformed(AssertionError):
    """A packet that the protocol does not allow."""


def string(text):
    """Return a string with its null byte. Bytes are not changed."""
    return text if isinstance(text, bytes) else str(text).encode() + b"\0"


def number(magic, *values):
    """Return a packet that consists of 32-bit numbers."""
    return struct.pack(f">{1 + len(values)}I", magic, *values)


# helper to server


def hello(minimum=1, maximum=1, flags=ALLOW_OTHER | FUSEBLK):
    return struct.pack(">IHHI", HELLO, minimum, maximum, flags)


def file(path, error=0):
    return number(FILE, error) + string(path)


def reply(error=0):
    return number(REPL, error)


def argfile(arguments):
    """Return the content of the memfd with the command line."""
    strings = [string(argument) for argument in arguments]
    start, spans = 8 + 8 * len(strings), b""
    for text in strings:
        spans += struct.pack(">II", start, len(text))
        start += len(text)
    return number(ARGS, len(strings)) + spans + b"".join(strings)


# server to helper


def last(version=1, padding=0):
    return struct.pack(">IHH", LAST, version, padding)


def open_command(path, flags=0, mode=0, request=0, block=0, magic=OPEN):
    return number(magic, flags, mode, request, block) + string(path)


def bdev(path, flags=0, mode=0, request=0, block=0):
    return open_command(path, flags, mode, request, block, magic=BDEV)


def type_command(flags=0):
    return number(TYPE, flags)


def name(source):
    return number(NAME) + string(source)


def mntp(mountpoint, expected=0, padding=0):
    return struct.pack(">IHH", MNTP, expected, padding) + string(mountpoint)


def opts(options):
    return number(OPTS) + string(options)


def mtab(options):
    return number(MTAB) + string(options)


def doit(flags=0):
    return number(DOIT, flags)


def umnt():
    return number(UMNT)


def byee(code=0):
    return number(BYEE, code)


# parsers


class Hello(NamedTuple):
    minimum: int
    maximum: int
    flags: int


class Last(NamedTuple):
    version: int
    padding: int


class File(NamedTuple):
    error: int
    path: bytes


class Command(NamedTuple):
    """A command of a server: its name, its numbers, and its string if it has one."""

    name: str
    numbers: tuple
    text: bytes | None = None


def read(form, magic, packet):
    """Return the numbers of a packet that has no other content."""
    if len(packet) != struct.calcsize(form):
        raise Malformed(f"{len(packet)} bytes instead of {struct.calcsize(form)}: {packet!r}")
    found, *numbers = struct.unpack(form, packet)
    if found != magic:
        raise Malformed(f"magic {found:#x} instead of {magic:#x}: {packet!r}")
    return numbers


def read_string(data):
    """Return a string that ends with its only null byte."""
    if not data or data.find(b"\0") != len(data) - 1:
        raise Malformed(f"no null byte at the end, or several: {data!r}")
    return data[:-1]


def read_hello(packet):
    return Hello(*read(">IHHI", HELLO, packet))


def read_last(packet):
    return Last(*read(">IHH", LAST, packet))


def read_reply(packet):
    return read(">II", REPL, packet)[0]


def read_file(packet):
    return File(*read(">II", FILE, packet[:8]), read_string(packet[8:]))


BODIES = {  # format of the numbers of each command, and whether a string follows
    OPEN: (">IIIII", True), BDEV: (">IIIII", True), TYPE: (">II", False), NAME: (">I", True), MNTP: (">IHH", True),
    OPTS: (">I", True), MTAB: (">I", True), DOIT: (">II", False), UMNT: (">I", False), BYEE: (">II", False),
}


def read_command(packet):
    magic = int.from_bytes(packet[:4], "big")
    if magic not in BODIES:
        raise Malformed(f"no such command: {packet!r}")
    form, has_text = BODIES[magic]
    size = struct.calcsize(form)
    numbers = tuple(read(form, magic, packet[:size] if has_text else packet))
    return Command(packet[:4].decode(), numbers, read_string(packet[size:]) if has_text else None)


def read_argfile(data):
    """Return the strings of a memfd, which must be adjacent and fill the file."""
    magic, count = struct.unpack(">II", data[:8])
    if magic != ARGS:
        raise Malformed(f"magic {magic:#x} of the argument file")
    end, strings = 8 + 8 * count, []
    for start, length in struct.iter_unpack(">II", data[8:end]):
        if start != end:
            raise Malformed(f"a string at {start} instead of {end}")
        end = start + length
        strings.append(read_string(data[start:end]).decode())
    if end != len(data):
        raise Malformed(f"{len(data) - end} bytes after the last string")
    return strings
