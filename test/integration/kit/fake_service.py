# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service's side of the protocol, in the test's own hands: polite as far as the test wants it to be."""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import struct
from typing import NamedTuple

from . import mounts, protocol
from .channel import Channel, HungUp
from .waiting import PATIENCE
from .build_options import FSVC
from .programs import Program, Result
from .waiting import wait_for

SOCKETS = "/run/filesystems"
QUICK = 2  # seconds of fsvc.timeout in tests that wait for it
HELPER = (FSVC, "fuservicemount3")
MARGIN = 15  # seconds that a busy machine may need on top: half of what the helper waits unasked
FUSE_INIT, LARGEST_REQUEST = 26, 1 << 17  # of the kernel's own protocol, see fuse(4)


class Opened(NamedTuple):
    """What a FILE message brought."""

    error: int
    path: str
    descriptor: int | None


class Listener:
    """The socket where the helper looks for services of one subtype; without a backlog nobody listens there."""

    def __init__(self, subtype, mode=0o220, backlog=8):
        self.path = f"{SOCKETS}/{subtype}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(self.path)
        os.chmod(self.path, mode)
        if backlog is not None:
            self.socket.listen(backlog)

    def waits(self, patience=0):
        """Whether a helper stands at the door."""
        return bool(select.select([self.socket], [], [], patience)[0])

    def accept(self, patience=PATIENCE):
        if not self.waits(patience):
            raise TimeoutError("no helper came")
        return ServiceEnd(self.socket.accept()[0])

    def close(self):
        self.socket.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


class ServiceEnd(Channel):
    """A connection as the service sees it."""

    def receive_hello(self):
        packet, descriptors = self.receive()
        assert not descriptors
        return protocol.read_hello(packet)

    def receive_file(self, patience=PATIENCE):
        packet, descriptors = self.receive(patience)
        error, path = protocol.read_file(packet)
        assert len(descriptors) == (0 if error else 1), "a FILE has a descriptor exactly when it has no error"
        return Opened(error, os.fsdecode(path), *descriptors or [None])

    def handshake(self):
        """Through the handshake: the helper's arguments. `self.fusedev` is the open /dev/fuse."""
        self.hello = self.receive_hello()
        self.send(protocol.last())
        self.argv, self.fusedev = self.receive_granted("argv"), self.receive_granted("fusedev")
        size = os.fstat(self.argv).st_size
        return protocol.read_argfile(os.pread(self.argv, size, 0))

    def receive_granted(self, path):
        granted = self.receive_file()
        assert (granted.error, granted.path) == (0, path)
        return granted.descriptor

    def command(self, packet, patience=PATIENCE):
        """The errno of the helper's reply."""
        self.send(packet)
        packet, descriptors = self.receive(patience)
        assert not descriptors
        return protocol.read_reply(packet)

    def file_command(self, packet):
        self.send(packet)
        return self.receive_file()

    def open(self, path, flags=0, request=protocol.QUIET, **others):
        return self.file_command(protocol.open_command(path, flags, request=request, **others))

    def bdev(self, path, flags=0, request=protocol.QUIET, **others):
        return self.file_command(protocol.bdev(path, flags, request=request, **others))

    def goodbye(self, code=0):
        """Leaves as a server does that goes on serving: the connection ends, /dev/fuse stays open."""
        self.send(protocol.byee(code))
        self.hang_up()

    def has_ended(self, patience=PATIENCE):
        """Whether the helper closes the connection without another packet."""
        with contextlib.suppress(TimeoutError):
            try:
                self.receive(patience)
            except HungUp:
                return True
        return False

    def begin_to_serve(self):
        """Answers the kernel's FUSE_INIT, its first request; from then on it waits for answers to all others."""
        length, opcode, unique = struct.unpack("=IIQ", os.read(self.fusedev, LARGEST_REQUEST)[:16])
        assert opcode == FUSE_INIT
        answer = struct.pack("=IIIIHHIIHHI28x", 7, 31, 0, 0, 0, 0, 4096, 1, 1, 0, 0)
        os.write(self.fusedev, struct.pack("=IiQ", 16 + len(answer), 0, unique) + answer)

    def stop_serving(self):
        """Ends the filesystem: the kernel answers whoever asks it for something from now on."""
        self.drop(self.fusedev)


class Attempt:
    """One run of the helper, with the test in the service's place."""

    def __init__(self, listener, source, mountpoint, *options, kind="fuse.toy", command=HELPER, arguments=None,
                 **environment):
        self.source, self.mountpoint = str(source), str(mountpoint)
        self.place = os.path.join(environment.get("cwd", "/"), mountpoint)  # never looked at: no server would answer
        self.helper = Program([*command, *(arguments or [source, mountpoint, "-t", kind, *options])], **environment)
        self.listener = listener
        self.service = None

    def connect(self):
        """Waits for the helper, unless it leaves without having come."""
        wait_for(lambda: self.listener.waits() or not self.helper.runs())
        self.service = self.listener.accept(patience=0)
        return self.service

    def handshake(self):
        self.arguments = self.connect().handshake()
        return self.service

    def try_to_mount(self, *commands):
        """Plays a service that gives up at the first command that is refused, for mounts that are to fail somewhere."""
        with contextlib.suppress(HungUp, TimeoutError):
            self.handshake()
            commands += protocol.name(self.source), protocol.mntp(self.mountpoint), protocol.doit()
            refused = any(self.service.command(command) for command in commands)
            self.service.goodbye(int(refused))

    def get_ready(self, kind=0, options=None):
        """All commands up to the one that mounts."""
        commands = [protocol.type_command(kind), protocol.name(self.source), protocol.mntp(self.mountpoint)]
        for command in commands + ([protocol.opts(options)] if options is not None else []):
            assert self.service.command(command) == 0, command
        return self.service

    def prepare(self, flags=0, **details):
        """The mount is made, and waits for the server's goodbye."""
        assert self.get_ready(**details).command(protocol.doit(flags)) == 0

    def finish(self):
        """The service's goodbye, and the helper's success."""
        self.service.goodbye()
        result = self.helper.wait()
        assert result.code == 0, result
        return result

    def mount(self, **details):
        """A whole session without a flaw: what mountinfo says of the result."""
        self.prepare(**details)
        assert self.finish().errors == ""
        return mounts.the_one_at(self.place)

    def unmount(self):
        self.service.stop_serving()
        mounts.unmount(self.place, "--internal-only", "--lazy")

    def fails(self, within=MARGIN) -> Result:
        """The helper gives up: exit code 1, soon, with nothing mounted."""
        result = self.helper.wait(PATIENCE + within)
        assert result.code == 1, result
        assert mounts.at(self.place) == []
        return result

    def fails_in_one_line(self, *words):
        """Also says so in one line, which names what failed."""
        line = self.fails().one_line()
        for word in words:
            assert str(word) in line
        return line

    def blames_the_service(self, *words):
        """Also tells where the service's own messages are."""
        line = self.fails_in_one_line(*words)
        assert_names_the_journal(line, self.helper.pid)
        return line

    def close(self):
        self.helper.close()
        if self.service:
            self.service.close()


def assert_names_the_journal(line, pid, uid=0):
    """The line holds the command that shows what the service of this very helper has logged."""
    pattern = rf"journalctl -u '[^']*@\*-{pid}[^']*{uid}\.service'"
    assert re.search(pattern, line), f"no {pattern} in {line!r}"
