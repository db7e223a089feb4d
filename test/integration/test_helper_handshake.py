# SPDX-License-Identifier: LGPL-2.1-or-later
"""The handshake of the helper with a service: HELLO, the command line and /dev/fuse."""

import fcntl
import os
import stat

import pytest

from kit import protocol
from kit.channel import passrights_is_known
from kit.build_options import FSVC


def test_hello_of_root_has_all_flags(start):
    service = start().connect()
    assert service.receive() == (bytes.fromhex("53414654 0001 0001 00000003"), [])


def test_applet_is_selected_by_symlink_name(attempt, work):
    link = work / "fuservicemount3"
    link.symlink_to(FSVC)
    session = attempt(command=[link])
    assert session.mount().type == "fuse.toy"
    session.unmount()


@pytest.mark.parametrize("answer", [
    protocol.last(version=0),
    protocol.last(version=2),
    protocol.last(padding=1),
    protocol.last()[:-1],
    protocol.last() + b"\0",
    b"TSAL" + protocol.last()[4:],
    protocol.hello(),
    protocol.byee(0),
    b"L",
    b"\0" * protocol.PACKET_MAX,
], ids=lambda answer: repr(answer[:12]))
def test_service_with_invalid_reply_to_hello_gets_nothing(start, answer):
    session = start()
    service = session.connect()
    service.receive_hello()
    service.send(answer)
    assert service.has_ended()
    session.assert_blames_service()


def test_service_that_hangs_up_before_hello_is_reported(start):
    session = start()
    session.connect().hang_up()
    session.assert_blames_service()


def test_service_that_hangs_up_after_hello_is_reported(start):
    session = start()
    session.connect().receive_hello()
    session.service.hang_up()
    session.assert_blames_service()


def test_service_that_hangs_up_after_handshake_is_reported(attempt):
    session = attempt()
    session.service.hang_up()
    session.assert_blames_service()


def test_service_gets_unchanged_command_line(attempt, source, mountpoint):
    session = attempt("-o", "ro,x-demo=1", "-d", "-onoatime", "-n", kind="toy")
    assert session.arguments == ["toy", str(source), str(mountpoint), "-o", "ro,x-demo=1", "-d", "-onoatime", "-n"]


def test_long_command_line_is_complete(attempt, source, mountpoint):
    arguments = [f"-ox-number={number}" for number in range(5000)] + ["-o", "x-long=" + "\u00e4" * 50000]
    assert attempt(*arguments).arguments == ["toy", str(source), str(mountpoint), *arguments]


@pytest.mark.parametrize("position", [0, 2, 3, 4])
def test_only_type_is_removed_from_command_line(attempt, source, mountpoint, position):
    arguments = ["-o", "ro", str(source), str(mountpoint)]
    assert attempt(arguments=[*arguments[:position], "-t", "fuse.toy", *arguments[position:]]).arguments == ["toy", *arguments]


def test_argument_file_is_sealed(attempt):
    service = attempt().service
    everything = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    assert fcntl.fcntl(service.argv, fcntl.F_GET_SEALS) & everything == everything
    with pytest.raises(PermissionError):
        os.ftruncate(service.argv, 0)


def test_fuse_device_is_not_mounted_yet(attempt):
    fusedev = attempt().service.fusedev
    status = os.fstat(fusedev)
    assert stat.S_ISCHR(status.st_mode) and (os.major(status.st_rdev), os.minor(status.st_rdev)) == (10, 229)
    with pytest.raises(PermissionError):  # EPERM: the connection belongs to no mount
        os.read(fusedev, 65536)


def test_helper_does_not_receive_descriptors(attempt, work):
    session, marker = attempt(), work / "pushed"
    pushed = os.open(marker, os.O_CREAT | os.O_RDWR)
    try:
        if passrights_is_known():
            with pytest.raises(PermissionError):
                session.service.send(protocol.type_command(), pushed)
        else:
            session.service.send(protocol.type_command(), pushed)
            session.service.receive()
    finally:
        os.close(pushed)
    assert str(marker) not in session.helper.descriptors()


@pytest.mark.parametrize("kind, subtype", [
    ("fuse.toy", "toy"), ("fuseblk.toy", "toy"), ("toy", "toy"), ("fuse.a.b", "a.b"), ("a.b", "a.b"),
])
def test_socket_is_named_by_subtype(listen, attempt, kind, subtype):
    assert attempt(listener=listen(subtype), kind=kind).arguments[0] == subtype
