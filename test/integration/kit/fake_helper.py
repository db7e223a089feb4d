# SPDX-License-Identifier: LGPL-2.1-or-later
"""The helper's side of the protocol, for tests of servers that are started as a service."""

import contextlib
import fcntl
import os
import pathlib
import socket
import stat
import subprocess

from . import mounts, protocol
from .channel import Channel, HungUp
from .waiting import TIMEOUT_S
from .build_options import FSVC, SERVERS
from .programs import AS_NOBODY, Program

# The connection is moved from standard input to file descriptor 3, as with socket activation.
ACTIVATE = 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@" 3<&0 </dev/null'
FAKE_SANDBOX = ["/usr/bin/python3", "-S", str(pathlib.Path(__file__).with_name("fake_sandbox.py"))]
UNPRIVILEGED = [*AS_NOBODY, "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
CONTAINED = [*FAKE_SANDBOX, *UNPRIVILEGED]
SERVERS_BY_NAME = {  # two with libfsvc, one unmodified
    "single_file_ll": [SERVERS / "single_file_ll"],
    "single_file_hl": [SERVERS / "single_file_hl"],
    "squashfuse": [FSVC, "fsvc-open", "--uncontained", "--", "squashfuse"],
}
SINGLE_FILE = ["single_file_ll", "single_file_hl"]


def memfd(content, seals=fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE):
    descriptor = os.memfd_create("argv", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, content)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


class HelperEnd(Channel):
    """The helper's end of a connection."""

    def receive_last(self):
        packet, descriptors = self.receive()
        assert not descriptors
        return protocol.read_last(packet)

    def greet(self, **fields):
        self.send(protocol.hello(**fields))
        return self.receive_last()

    def grant(self, path, descriptor):
        """Send a descriptor and close it."""
        try:
            self.send(protocol.file(path), descriptor)
        finally:
            os.close(descriptor)

    def grant_file(self, path, flags):
        self.grant(path, os.open(path, flags | os.O_CLOEXEC))

    def grant_arguments(self, arguments):
        self.grant("argv", memfd(protocol.argfile(arguments)))

    def grant_fusedev(self):
        """Send /dev/fuse, and keep a descriptor of it for the mount."""
        self.fusedev = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        self.received.append(self.fusedev)
        self.send(protocol.file("fusedev"), self.fusedev)

    def handshake(self, arguments, flags=protocol.ALLOW_OTHER | protocol.FUSEBLK):
        assert self.greet(flags=flags) == protocol.Last(version=1, padding=0)
        self.grant_arguments(arguments)
        self.grant_fusedev()

    def receive_command(self):
        packet, descriptors = self.receive()
        assert not descriptors, "a server has sent a descriptor"
        self.raw = packet
        return protocol.read_command(packet)

    def answer_files(self):
        """Open all files that the server requests. Return these commands and the next one."""
        asked = []
        while (command := self.receive_command()).name in ("OPEN", "BDEV"):
            asked.append(command)
            self.answer_file(command)
        return asked, command

    def answer_file(self, command):
        path = os.fsdecode(command.text)
        if command.name == "BDEV" and not stat.S_ISBLK(os.stat(path).st_mode):
            self.send(protocol.file(path, error=15))  # ENOTBLK
        else:
            self.grant_file(path, command.numbers[0])

    def commands_until(self, last, *errors):
        """Answer commands with success until LAST is received. Return all commands by name."""
        asked, command = self.answer_files()
        found = {each.name: each for each in asked}
        while command.name != last:
            assert command.name not in found, f"{command.name} twice"
            found[command.name] = command
            self.send(protocol.reply())
            command = self.receive_command()
        return found | {last: command}

    def goodbye_code(self):
        """Answer all commands with success. Return the code of the server's goodbye, or None if it hangs up."""
        try:
            _, command = self.answer_files()
            while command.name != "BYEE":
                self.send(protocol.reply())
                command = self.receive_command()
            return command.numbers[0]
        except HungUp:
            return None

    def make_mount(self, commands):
        """Mount as DOIT requests, with mount(2)."""
        mountpoint = os.fsdecode(commands["MNTP"].text)
        kernel_options = f"fd={self.fusedev},rootmode={stat.S_IFMT(os.stat(mountpoint).st_mode):o},user_id=0,group_id=0"
        options = os.fsdecode(commands["OPTS"].text) if "OPTS" in commands else ""
        mounts.mount("fsvc-test", mountpoint, "fuse.toy", commands["DOIT"].numbers[0],
                     ",".join(filter(None, [kernel_options, options])))
        self.drop(self.fusedev)


class FakeHelper(HelperEnd):
    """A server that is started as a service, and the helper's end of its connection."""

    def __init__(self, server, **environment):
        self.failures = range(1, 128) if "fsvc-open" in server else [1]  # exit statuses of the wrapped server, or of the library
        local, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        super().__init__(local)
        with remote:
            self.server = Program(["sh", "-c", ACTIVATE, "sh", *server], stdin=remote, **environment)

    def assert_gives_up(self, within=TIMEOUT_S):
        """Check that the server exits with a failure."""
        result = self.server.wait(within)
        assert result.code in self.failures, result
        return result

    def close(self):
        """Hang up, and wait some time for the server to exit before it is killed."""
        super().close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.server.process.wait(20)
        self.server.close()
