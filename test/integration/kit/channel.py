# SPDX-License-Identifier: LGPL-2.1-or-later
"""One end of a connection that sends and receives packets with file descriptors, with timeouts."""

import array
import os
import select
import socket

from .waiting import TIMEOUT_S

SO_PASSRIGHTS = 83
MAX_DESCRIPTORS = 8


class HungUp(Exception):
    """The other side has closed the connection."""


def passrights_is_known():
    """Return true if this kernel can forbid a peer to send descriptors."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        try:
            probe.getsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS)
        except OSError:
            return False
    return True


class Channel:
    def __init__(self, connection):
        self.connection = connection
        self.received = []  # all received descriptors that are still open

    def send(self, packet, *descriptors):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            self.connection.sendmsg([packet], rights, socket.MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise HungUp from error

    def receive(self, timeout_s=TIMEOUT_S):
        """Return the next packet and its descriptors."""
        if not self.waits(timeout_s):
            raise TimeoutError(f"no packet within {timeout_s} s")
        size = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
        try:
            packet, rights, flags, _ = self.connection.recvmsg(2 * 65536, size, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError as error:
            raise HungUp from error
        descriptors = array.array("i")
        for level, kind, data in rights:
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            descriptors.frombytes(data)
        self.received += descriptors
        assert not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC), "a packet was truncated"
        if not packet and not rights:
            raise HungUp
        return packet, list(descriptors)

    def waits(self, timeout_s):
        """Return true if a packet or the end of the connection arrives within this time."""
        return bool(select.select([self.connection], [], [], timeout_s)[0])

    def hang_up(self):
        """Close the connection. Received descriptors stay open."""
        self.connection.close()

    def drop(self, descriptor):
        self.received.remove(descriptor)
        os.close(descriptor)

    def close(self):
        self.hang_up()
        while self.received:
            self.drop(self.received[-1])
