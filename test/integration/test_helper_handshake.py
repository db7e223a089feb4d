# SPDX-License-Identifier: LGPL-2.1-or-later
"""The helper greets a service, and hands over the command line and a connection to the kernel."""

import fcntl
import os
import stat

import pytest

from kit import protocol
from kit.channel import passrights_is_known
from kit.build_options import FSVC


def test_root_is_introduced_with_every_right(start):
    service = start().connect()
    assert service.receive() == (bytes.fromhex("53414654 0001 0001 00000003"), [])


def test_the_symlink_of_the_applet_starts_it_as_well(attempt, work):
    link = work / "fuservicemount3"
    link.symlink_to(FSVC)
    begun = attempt(command=[link])
    assert begun.mount().type == "fuse.toy"
    begun.unmount()


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
def test_a_service_that_answers_hello_wrongly_gets_nothing(start, answer):
    begun = start()
    service = begun.connect()
    service.receive_hello()
    service.send(answer)
    assert service.has_ended()
    begun.blames_the_service()


def test_a_service_that_hangs_up_before_hello_is_blamed(start):
    begun = start()
    begun.connect().hang_up()
    begun.blames_the_service()


def test_a_service_that_hangs_up_instead_of_answering_is_blamed(start):
    begun = start()
    begun.connect().receive_hello()
    begun.service.hang_up()
    begun.blames_the_service()


def test_a_service_that_hangs_up_after_the_handshake_is_blamed(attempt):
    begun = attempt()
    begun.service.hang_up()
    begun.blames_the_service()


def test_the_service_learns_the_command_line_as_it_was_spelled(attempt, source, mountpoint):
    begun = attempt("-o", "ro,x-demo=1", "-d", "-onoatime", "-n", kind="toy")
    assert begun.arguments == ["toy", str(source), str(mountpoint), "-o", "ro,x-demo=1", "-d", "-onoatime", "-n"]


def test_a_long_command_line_arrives_whole(attempt, source, mountpoint):
    words = [f"-ox-number={number}" for number in range(5000)] + ["-o", "x-long=" + "\u00e4" * 50000]
    assert attempt(*words).arguments == ["toy", str(source), str(mountpoint), *words]


@pytest.mark.parametrize("place", [0, 2, 3, 4])
def test_the_type_alone_is_taken_out_of_the_command_line(attempt, source, mountpoint, place):
    words = ["-o", "ro", str(source), str(mountpoint)]
    assert attempt(arguments=[*words[:place], "-t", "fuse.toy", *words[place:]]).arguments == ["toy", *words]


def test_the_argument_file_is_sealed_for_good(attempt):
    service = attempt().service
    everything = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    assert fcntl.fcntl(service.argv, fcntl.F_GET_SEALS) & everything == everything
    with pytest.raises(PermissionError):
        os.ftruncate(service.argv, 0)


def test_the_connection_to_the_kernel_is_fresh(attempt):
    fusedev = attempt().service.fusedev
    status = os.fstat(fusedev)
    assert stat.S_ISCHR(status.st_mode) and (os.major(status.st_rdev), os.minor(status.st_rdev)) == (10, 229)
    with pytest.raises(PermissionError):  # what the kernel says of one that belongs to no mount
        os.read(fusedev, 65536)


def test_a_service_cannot_push_a_descriptor_on_the_helper(attempt, work):
    begun, marker = attempt(), work / "pushed"
    pushed = os.open(marker, os.O_CREAT | os.O_RDWR)
    try:
        if passrights_is_known():
            with pytest.raises(PermissionError):
                begun.service.send(protocol.type_command(), pushed)
        else:
            begun.service.send(protocol.type_command(), pushed)
            begun.service.receive()
    finally:
        os.close(pushed)
    assert str(marker) not in begun.helper.descriptors()


@pytest.mark.parametrize("kind, subtype", [
    ("fuse.toy", "toy"), ("fuseblk.toy", "toy"), ("toy", "toy"), ("fuse.a.b", "a.b"), ("a.b", "a.b"),
])
def test_the_type_names_the_socket(listen, attempt, kind, subtype):
    assert attempt(listener=listen(subtype), kind=kind).arguments[0] == subtype
