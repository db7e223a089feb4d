# SPDX-License-Identifier: LGPL-2.1-or-later
"""One end of a connection: a packet with descriptors out, a packet with descriptors in, never without a deadline."""

import array
import os
import select
import socket

from .waiting import PATIENCE

SO_PASSRIGHTS = 83
ROOM_FOR_DESCRIPTORS = 8


class HungUp(Exception):
    """The other side has closed the connection."""


def passrights_is_known():
    """Whether this kernel can forbid a peer to send descriptors."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        try:
            probe.getsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS)
        except OSError:
            return False
    return True


class Channel:
    def __init__(self, connection):
        self.connection = connection
        self.received = []  # every descriptor that came in and that nobody has closed yet

    def send(self, packet, *descriptors):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            self.connection.sendmsg([packet], rights, socket.MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise HungUp from error

    def receive(self, patience=PATIENCE):
        """The next packet and the list of its descriptors."""
        if not self.waits(patience):
            raise TimeoutError(f"no packet within {patience} s")
        size = socket.CMSG_SPACE(ROOM_FOR_DESCRIPTORS * array.array("i").itemsize)
        try:
            packet, rights, flags, _ = self.connection.recvmsg(2 * 65536, size, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError as error:
            raise HungUp from error
        descriptors = array.array("i")
        for level, kind, data in rights:
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            descriptors.frombytes(data)
        self.received += descriptors
        assert not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC), "a packet was cut"
        if not packet and not rights:
            raise HungUp
        return packet, list(descriptors)

    def waits(self, patience):
        """Whether a packet or a hang-up comes within so many seconds."""
        return bool(select.select([self.connection], [], [], patience)[0])

    def hang_up(self):
        """Closes the connection alone: descriptors that came stay open."""
        self.connection.close()

    def drop(self, descriptor):
        self.received.remove(descriptor)
        os.close(descriptor)

    def close(self):
        self.hang_up()
        while self.received:
            self.drop(self.received[-1])
