# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service's side of the protocol, for tests of the helper."""

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
from .waiting import TIMEOUT_S
from .build_options import FSVC
from .programs import Program, Result
from .waiting import wait_for

SOCKETS = "/run/filesystems"
SHORT_TIMEOUT_S = 2  # fsvc.timeout in tests that wait for it
HELPER = (FSVC, "fuservicemount3")
MARGIN_S = 15  # additional time on a busy machine
FUSE_INIT, LARGEST_REQUEST = 26, 1 << 17  # of the FUSE protocol, see fuse(4)


class Opened(NamedTuple):
    """The content of a FILE packet."""

    error: int
    path: str
    descriptor: int | None


class Listener:
    """The socket of a service. Without a backlog, it does not listen."""

    def __init__(self, subtype, mode=0o220, backlog=8):
        self.path = f"{SOCKETS}/{subtype}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(self.path)
        os.chmod(self.path, mode)
        if backlog is not None:
            self.socket.listen(backlog)

    def waits(self, timeout_s=0):
        """Return true if a helper connects within this time."""
        return bool(select.select([self.socket], [], [], timeout_s)[0])

    def accept(self, timeout_s=TIMEOUT_S):
        if not self.waits(timeout_s):
            raise TimeoutError("no helper has connected")
        return ServiceEnd(self.socket.accept()[0])

    def close(self):
        self.socket.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


class ServiceEnd(Channel):
    """The service's end of a connection."""

    def receive_hello(self):
        packet, descriptors = self.receive()
        assert not descriptors
        return protocol.read_hello(packet)

    def receive_file(self, timeout_s=TIMEOUT_S):
        packet, descriptors = self.receive(timeout_s)
        error, path = protocol.read_file(packet)
        assert len(descriptors) == (0 if error else 1), "a FILE has a descriptor exactly when it has no error"
        return Opened(error, os.fsdecode(path), *descriptors or [None])

    def handshake(self):
        """Complete the handshake, and return the helper's arguments. `self.fusedev` is the open /dev/fuse."""
        self.hello = self.receive_hello()
        self.send(protocol.last())
        self.argv, self.fusedev = self.receive_granted("argv"), self.receive_granted("fusedev")
        size = os.fstat(self.argv).st_size
        return protocol.read_argfile(os.pread(self.argv, size, 0))

    def receive_granted(self, path):
        granted = self.receive_file()
        assert (granted.error, granted.path) == (0, path)
        return granted.descriptor

    def command(self, packet, timeout_s=TIMEOUT_S):
        """Send a command. Return the errno of the reply."""
        self.send(packet)
        packet, descriptors = self.receive(timeout_s)
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
        """Say goodbye like a server that continues to serve: close the connection, but not /dev/fuse."""
        self.send(protocol.byee(code))
        self.hang_up()

    def has_ended(self, timeout_s=TIMEOUT_S):
        """Return true if the helper closes the connection without another packet."""
        with contextlib.suppress(TimeoutError):
            try:
                self.receive(timeout_s)
            except HungUp:
                return True
        return False

    def begin_to_serve(self):
        """Answer FUSE_INIT, the kernel's first request. Other requests are not answered, and wait."""
        length, opcode, unique = struct.unpack("=IIQ", os.read(self.fusedev, LARGEST_REQUEST)[:16])
        assert opcode == FUSE_INIT
        answer = struct.pack("=IIIIHHIIHHI28x", 7, 31, 0, 0, 0, 0, 4096, 1, 1, 0, 0)
        os.write(self.fusedev, struct.pack("=IiQ", 16 + len(answer), 0, unique) + answer)

    def stop_serving(self):
        """Close /dev/fuse: all requests of the kernel fail from now on."""
        self.drop(self.fusedev)


class HelperSession:
    """A run of the helper with a service that the test implements."""

    def __init__(self, listener, source, mountpoint, *options, kind="fuse.toy", command=HELPER, arguments=None,
                 **environment):
        self.source, self.mountpoint = str(source), str(mountpoint)
        self.absolute_mountpoint = os.path.join(environment.get("cwd", "/"), mountpoint)  # not resolved: a lookup could block
        self.helper = Program([*command, *(arguments or [source, mountpoint, "-t", kind, *options])], **environment)
        self.listener = listener
        self.service = None

    def connect(self):
        """Wait until the helper connects or exits."""
        wait_for(lambda: self.listener.waits() or not self.helper.runs())
        self.service = self.listener.accept(timeout_s=0)
        return self.service

    def handshake(self):
        self.arguments = self.connect().handshake()
        return self.service

    def try_to_mount(self, *commands):
        """Run a service that gives up when the first command is refused, for mounts that should fail."""
        with contextlib.suppress(HungUp, TimeoutError):
            self.handshake()
            commands += protocol.name(self.source), protocol.mntp(self.mountpoint), protocol.doit()
            refused = any(self.service.command(command) for command in commands)
            self.service.goodbye(int(refused))

    def get_ready(self, kind=0, options=None):
        """Send all commands before DOIT."""
        commands = [protocol.type_command(kind), protocol.name(self.source), protocol.mntp(self.mountpoint)]
        for command in commands + ([protocol.opts(options)] if options is not None else []):
            assert self.service.command(command) == 0, command
        return self.service

    def prepare(self, flags=0, **details):
        """Mount. The mount is not attached before the goodbye of the service."""
        assert self.get_ready(**details).command(protocol.doit(flags)) == 0

    def finish(self):
        """Say goodbye. Check that the helper succeeds, and return its result."""
        self.service.goodbye()
        result = self.helper.wait()
        assert result.code == 0, result
        return result

    def mount(self, **details):
        """Run a complete session. Return the mount."""
        self.prepare(**details)
        assert self.finish().errors == ""
        return mounts.single_mount_at(self.absolute_mountpoint)

    def unmount(self):
        self.service.stop_serving()
        mounts.unmount(self.absolute_mountpoint, "--internal-only", "--lazy")

    def assert_fails(self, within=MARGIN_S) -> Result:
        """Check that the helper fails within this time, with exit status 1 and without a mount."""
        result = self.helper.wait(TIMEOUT_S + within)
        assert result.code == 1, result
        assert mounts.at(self.absolute_mountpoint) == []
        return result

    def assert_fails_in_one_line(self, *texts):
        """Check that the helper fails with one message that contains these texts."""
        line = self.assert_fails().one_line()
        for text in texts:
            assert str(text) in line
        return line

    def assert_blames_service(self, *texts):
        """Check that the message also names the log of the service."""
        line = self.assert_fails_in_one_line(*texts)
        assert_names_the_journal(line, self.helper.pid)
        return line

    def close(self):
        self.helper.close()
        if self.service:
            self.service.close()


def assert_names_the_journal(line, pid, uid=0):
    """Check that LINE contains the journalctl command for the service of this helper."""
    pattern = rf"journalctl -u '[^']*@\*-{pid}[^']*{uid}\.service'"
    assert re.search(pattern, line), f"no {pattern} in {line!r}"
