# SPDX-License-Identifier: LGPL-2.1-or-later
"""The helper's side of the protocol, in the test's own hands, against a server started as a service."""

import contextlib
import fcntl
import os
import pathlib
import socket
import stat
import subprocess

from . import mounts, protocol
from .channel import Channel, HungUp
from .waiting import PATIENCE
from .build_options import FSVC, SERVERS
from .programs import AS_NOBODY, Program

# The connection arrives as standard input and becomes fd 3, as socket activation has it.
ACTIVATE = 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@" 3<&0 </dev/null'
ROOM = ["/usr/bin/python3", "-S", str(pathlib.Path(__file__).with_name("fake_sandbox.py"))]
UNPRIVILEGED = [*AS_NOBODY, "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
CONTAINED = [*ROOM, *UNPRIVILEGED]
SERVERS_BY_NAME = {  # one on either of libfuse's interfaces, and an unmodified one
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
    """A connection as the helper sees it."""

    def receive_last(self):
        packet, descriptors = self.receive()
        assert not descriptors
        return protocol.read_last(packet)

    def greet(self, **words):
        self.send(protocol.hello(**words))
        return self.receive_last()

    def grant(self, path, descriptor):
        """Sends a descriptor, and keeps none."""
        try:
            self.send(protocol.file(path), descriptor)
        finally:
            os.close(descriptor)

    def grant_file(self, path, flags):
        self.grant(path, os.open(path, flags | os.O_CLOEXEC))

    def grant_arguments(self, arguments):
        self.grant("argv", memfd(protocol.argfile(arguments)))

    def grant_fusedev(self):
        """The server gets a connection to the kernel; a second descriptor of it stays for the mount."""
        self.fusedev = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        self.received.append(self.fusedev)
        self.send(protocol.file("fusedev"), self.fusedev)

    def handshake(self, arguments, flags=protocol.ALLOW_OTHER | protocol.FUSEBLK):
        assert self.greet(flags=flags) == protocol.Last(version=1, padding=0)
        self.grant_arguments(arguments)
        self.grant_fusedev()

    def receive_command(self):
        packet, descriptors = self.receive()
        assert not descriptors, "a server has nothing to send but words"
        self.raw = packet
        return protocol.read_command(packet)

    def answer_files(self):
        """Opens whatever the server asks for, and gives these commands and the first that is no such thing."""
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
        """The commands up to the one named, each but that one answered with success, by name."""
        asked, command = self.answer_files()
        found = {each.name: each for each in asked}
        while command.name != last:
            assert command.name not in found, f"{command.name} twice"
            found[command.name] = command
            self.send(protocol.reply())
            command = self.receive_command()
        return found | {last: command}

    def goodbye_code(self):
        """Says yes to everything up to the server's goodbye: its exit code, or None where it just left."""
        try:
            _, command = self.answer_files()
            while command.name != "BYEE":
                self.send(protocol.reply())
                command = self.receive_command()
            return command.numbers[0]
        except HungUp:
            return None

    def really_mount(self, commands):
        """What DOIT asks for, done with mount(2)."""
        mountpoint = os.fsdecode(commands["MNTP"].text)
        words = f"fd={self.fusedev},rootmode={stat.S_IFMT(os.stat(mountpoint).st_mode):o},user_id=0,group_id=0"
        options = os.fsdecode(commands["OPTS"].text) if "OPTS" in commands else ""
        mounts.mount("fsvc-test", mountpoint, "fuse.toy", commands["DOIT"].numbers[0],
                     ",".join(filter(None, [words, options])))
        self.drop(self.fusedev)


class FakeHelper(HelperEnd):
    """A server, started as systemd would start it, and the helper's end of its connection."""

    def __init__(self, server, **environment):
        self.failures = range(1, 128) if "fsvc-open" in server else [1]  # the wrapped server's own, or the library's
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        super().__init__(ours)
        with its:
            self.server = Program(["sh", "-c", ACTIVATE, "sh", *server], stdin=its, **environment)

    def gives_up(self, within=PATIENCE):
        """The server ends by itself, and says that it failed."""
        result = self.server.wait(within)
        assert result.code in self.failures, result
        return result

    def close(self):
        """Hangs up, and lets the server tidy up behind itself before it is made to end."""
        super().close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.server.process.wait(20)
        self.server.close()
