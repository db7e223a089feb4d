# SPDX-License-Identifier: LGPL-2.1-or-later
"""Socket activation without systemd as pid 1."""

import os

from .fake_service import SOCKETS
from .processes import children_of
from .waiting import wait_for


class Service:
    """A server with a socket: systemd-socket-activate starts a process for each connection."""

    def __init__(self, run, server):
        self.socket = f"{SOCKETS}/toy"
        self.program = run("systemd-socket-activate", "--seqpacket", "--accept", "-l", self.socket, *server)
        wait_for(lambda: os.path.exists(self.socket), what="the socket")

    def instances(self):
        return children_of(self.program.pid)

    def close(self):
        os.unlink(self.socket)
