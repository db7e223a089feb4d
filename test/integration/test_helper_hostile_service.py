# SPDX-License-Identifier: LGPL-2.1-or-later
"""Services that break the protocol, send too much, stop answering, or send control characters to the terminal."""

import contextlib
import errno
import os
import pty
import select
import signal
import time

import pytest

from kit import mounts, protocol
from kit.channel import HungUp
from kit.waiting import TIMEOUT_S
from kit.fake_service import HELPER, MARGIN_S, SHORT_TIMEOUT_S
from kit.waiting import wait_for
from kit.seccomp import without_system_call

TIMEOUT_OPTION = ["-o", f"fsvc.timeout={SHORT_TIMEOUT_S}"]


# invalid packets


INVALID_PACKETS = {
    "TYPE without flags": protocol.umnt().replace(b"UMNT", b"TYPE"),
    "TYPE truncated": protocol.type_command()[:-1],
    "TYPE too long": protocol.type_command() + b"\0",
    "NAME without string": protocol.name("")[:-1],
    "NAME without final null byte": protocol.name(b"toy"),
    "NAME with two null bytes": protocol.name(b"toy\0\0"),
    "NAME with null byte inside": protocol.name(b"toy\0toy\0"),
    "MNTP without string": protocol.mntp("")[:-1],
    "MNTP without padding": protocol.mntp("")[:6],
    "MNTP without final null byte": protocol.mntp(b"/mnt"),
    "OPTS without string": protocol.opts("")[:-1],
    "OPTS without final null byte": protocol.opts(b"max_read=4096"),
    "OPTS with null byte inside": protocol.opts(b"max_read=4096\0,fd=0\0"),
    "MTAB without string": protocol.mtab("")[:-1],
    "MTAB without final null byte": protocol.mtab(b"rw"),
    "MTAB with null byte inside": protocol.mtab(b"r\0w\0"),
    "DOIT without flags": protocol.doit()[:4],
    "DOIT truncated": protocol.doit()[:-1],
    "DOIT too long": protocol.doit() + b"\0",
    "UMNT too long": protocol.umnt() + b"\0",
    "longest NAME": protocol.name(b"\0" * (protocol.PACKET_MAX - 4)),
    "longest OPTS": protocol.opts(b"a" * (protocol.PACKET_MAX - 4)),
}


@pytest.mark.parametrize("packet", INVALID_PACKETS.values(), ids=INVALID_PACKETS)
def test_invalid_packet_fails_with_einval(attempt, packet):
    session = attempt()
    assert session.service.command(packet) == errno.EINVAL
    session.service.goodbye(0)
    session.assert_fails()


@pytest.mark.parametrize("packet", [protocol.byee()[:4], protocol.byee()[:-1], protocol.byee() + b"\0"], ids=repr)
def test_invalid_goodbye_is_failure(attempt, packet):
    session = attempt()
    session.prepare()
    session.service.send(packet)
    session.service.has_ended()
    session.service.hang_up()
    session.assert_blames_service()


@pytest.mark.parametrize("packet", [
    b"\0", b"O", b"OPE", b"WHAT", b"NEPO" + bytes(20), b"open" + bytes(20), protocol.hello(), protocol.last(),
    protocol.reply(), protocol.file("argv"), protocol.argfile(["toy"]), bytes(protocol.PACKET_MAX), b"\xff" * 64,
    b"\x1b]0;title\x07",
], ids=lambda packet: repr(packet[:8]))
@pytest.mark.parametrize("prepared", [False, True], ids=["before mount", "after mount"])
def test_unknown_command_ends_session(attempt, packet, prepared):
    session = attempt()
    if prepared:
        session.prepare()
    session.service.send(packet)
    assert session.service.has_ended()
    session.assert_blames_service()


def test_empty_packet_ends_session(attempt):
    session = attempt()
    session.prepare()
    session.service.send(b"")
    assert session.service.has_ended()
    session.assert_blames_service()


@pytest.mark.parametrize("head", [protocol.name(b"toy"), protocol.opts(b"max_read=4096"), b"WHAT"], ids=repr)
def test_too_long_packet_is_not_truncated(attempt, head):
    session = attempt()
    session.service.send(head.ljust(protocol.PACKET_MAX + 1, b"\0"))
    if not session.service.has_ended():
        session.service.goodbye(0)
    session.assert_fails()


def test_too_long_packet_is_not_accepted_as_longest_one(attempt):
    session = attempt()
    with contextlib.suppress(HungUp):  # it may also end the session
        assert session.service.command(protocol.mtab("a" * (protocol.PACKET_MAX - 5)) + b"more") != 0
        session.service.goodbye(1)
    session.assert_fails()


# too many requests


def test_number_of_commands_is_limited(attempt, source):
    session = attempt()
    with pytest.raises(HungUp):
        for _ in range(3000):
            session.service.command(protocol.umnt())
    session.assert_blames_service()


def test_number_of_opened_files_is_limited(attempt, source):
    session = attempt()
    with pytest.raises(HungUp):
        for _ in range(3000):
            session.service.drop(session.service.open(source).descriptor)
    session.assert_blames_service()


def test_helper_closes_descriptors_that_it_has_sent(attempt, source):
    session = attempt()
    for _ in range(20):
        session.service.drop(session.service.open(source).descriptor)
    assert session.helper.descriptors().count(str(source)) <= 1


def test_service_that_never_reads_does_not_block_helper(attempt, source):
    session = attempt(*TIMEOUT_OPTION)
    path = b"/" * 60000 + b"\0"
    session.service.connection.setblocking(False)
    with pytest.raises((BlockingIOError, HungUp)):
        for _ in range(3000):
            session.service.send(protocol.open_command(path, request=protocol.QUIET))
            time.sleep(0.001)
    assert session.assert_fails().seconds < SHORT_TIMEOUT_S + MARGIN_S


# services that stop answering


def assert_timeout(session):
    assert session.service is None or session.service.has_ended(SHORT_TIMEOUT_S + MARGIN_S)
    line = session.assert_blames_service()
    assert SHORT_TIMEOUT_S / 2 < session.helper.wait().seconds < SHORT_TIMEOUT_S + MARGIN_S
    return line


def test_service_that_does_not_accept_is_given_up(start):
    assert_timeout(start(*TIMEOUT_OPTION))


def test_service_that_does_not_answer_hello_is_given_up(start):
    session = start(*TIMEOUT_OPTION)
    session.connect().receive_hello()
    assert_timeout(session)


def test_service_that_stops_after_handshake_is_given_up(attempt):
    assert_timeout(attempt(*TIMEOUT_OPTION))


def test_service_that_stops_after_mount_command_leaves_no_mount(attempt):
    session = attempt(*TIMEOUT_OPTION)
    session.prepare()
    assert_timeout(session)


def test_slow_commands_do_not_extend_timeout(attempt):
    session = attempt(*TIMEOUT_OPTION)
    with pytest.raises(HungUp):
        for _ in range(10 * (SHORT_TIMEOUT_S + MARGIN_S)):
            session.service.command(protocol.umnt())
            time.sleep(0.1)
    assert_timeout(session)


def test_service_with_full_queue_is_given_up(start, listen, run):
    listener = listen(backlog=0)
    waiting = [run(*HELPER, "/dev/null", "/mnt", "-t", "fuse.toy") for _ in range(3)]
    wait_for(lambda: all(not each.runs() or "socket:" in str(each.descriptors()) for each in waiting))
    session = start(*TIMEOUT_OPTION, listener=listener)
    assert session.assert_fails_in_one_line()
    assert session.helper.wait().seconds < SHORT_TIMEOUT_S + MARGIN_S


@pytest.mark.parametrize("seconds", ["0", "-1", "x", "", "1s", "99999999999999999999", "1e3", "nan"])
def test_invalid_timeout_is_usage_error(start, seconds):
    session = start("-o", f"fsvc.timeout={seconds}")
    session.assert_fails_in_one_line("fsvc.timeout")


def test_progress_message_is_printed_on_terminal(start):
    master, terminal = pty.openpty()
    session = start("-o", f"fsvc.timeout={TIMEOUT_S}", stderr=terminal)
    os.close(terminal)
    service = session.connect()
    service.receive_hello()
    try:
        assert select.select([master], [], [], TIMEOUT_S / 2)[0]
        assert time.monotonic() - session.helper.started > 2, "not at once"
        assert b"waiting for the service" in os.read(master, 4096)
        assert session.helper.runs()
    finally:
        os.close(master)


# signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("reach", ["HELLO", "handshake", "DOIT"])
def test_signal_ends_helper_without_mount(start, number, reach):
    session = start()
    if reach == "HELLO":
        session.connect().receive_hello()
    else:
        session.handshake()
    if reach == "DOIT":
        session.prepare()
    session.helper.signal(number)
    session.assert_fails_in_one_line()
    assert session.helper.wait().seconds < MARGIN_S


# messages on the terminal


CONTROLS = "\x1b]0;owned\x07\r\x1b[2J\u009b1m\x7f\u202e"


def test_control_characters_of_path_are_not_printed(attempt):
    session = attempt()
    session.service.open(f"/tmp/{CONTROLS}", request=0)
    session.service.goodbye(1)
    assert_printable(session.assert_fails().errors)


@pytest.mark.parametrize("command", [
    protocol.name(CONTROLS), protocol.mntp(CONTROLS), protocol.opts(CONTROLS), protocol.mtab(CONTROLS),
    protocol.opts(f"max_read={CONTROLS}"), protocol.name("line\nfuservicemount3: all is well"),
], ids=lambda command: repr(command[:4]))
def test_control_characters_of_command_are_not_printed(attempt, command):
    session = attempt()
    assert session.service.command(command) != 0
    session.service.goodbye(1)
    assert_printable(session.assert_fails().errors)


def assert_printable(text):
    for line in text.split("\n"):
        assert not line or line.isprintable(), repr(line)
        assert not line.startswith("fuservicemount3: all is well")


def test_control_characters_of_path_are_printed_escaped(attempt):
    session = attempt()
    session.service.open("/tmp/\x1b[2Jend", request=0)
    session.service.goodbye(1)
    assert r"\x1b[2Jend" in session.assert_fails().errors


# closed standard streams


@pytest.fixture(params=[[0], [2], [0, 1, 2]], ids=str)
def closed(request):
    """The standard streams that are closed when the helper starts."""
    return request.param


@pytest.fixture
def session_without_streams(start, closed):
    redirections = " ".join(f"{number}>&-" for number in closed)
    session = start(command=["sh", "-c", f'exec "$@" {redirections}', "sh", *HELPER])
    session.handshake()
    return session


def test_closed_standard_streams_are_opened_as_dev_null(session_without_streams, closed):
    streams = [os.readlink(f"/proc/{session_without_streams.helper.pid}/fd/{number}") for number in closed]
    assert set(streams) == {"/dev/null"}


def test_messages_are_not_written_to_image_without_standard_streams(session_without_streams, source):
    before, service = source.read_bytes(), session_without_streams.service
    assert service.open(source, os.O_RDWR).error == 0
    service.open("/nowhere", request=0)
    service.goodbye(1)
    assert session_without_streams.helper.wait().code == 1
    assert source.read_bytes() == before


# older kernels


MOUNT_CALLS = {"fsopen": 430, "fsconfig": 431, "fsmount": 432, "move_mount": 429}  # all were added in Linux 5.2


@pytest.fixture(params=MOUNT_CALLS.keys())
def attempt_without_new_mount_api(request, attempt):
    """Start the helper without one of the system calls of the new mount API, as before Linux 5.2."""
    missing = without_system_call(MOUNT_CALLS[request.param], errno.ENOSYS)
    return lambda *arguments, **options: attempt(*arguments, preexec_fn=missing, **options)


@pytest.mark.parametrize("call", MOUNT_CALLS)
@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOMEM])
def test_nothing_is_mounted_if_mount_system_call_fails(start, call, error):
    session = start(preexec_fn=without_system_call(MOUNT_CALLS[call], error))
    session.try_to_mount()
    session.assert_fails()


def test_mount_without_new_mount_api(attempt_without_new_mount_api):
    session = attempt_without_new_mount_api("-o", "noexec")
    mount = session.mount(flags=mounts.NOATIME, options="allow_other,max_read=4096")
    assert (mount.type, mount.source) == ("fuse.toy", session.source)
    assert {"nosuid", "nodev", "noexec", "noatime"} <= mount.flags
    assert {"user_id=0", "group_id=0", "allow_other", "default_permissions", "max_read=4096"} <= mount.options
    session.unmount()


def test_fuseblk_mount_without_new_mount_api(attempt_without_new_mount_api, loop):
    session = attempt_without_new_mount_api(source=loop, kind="fuseblk.toy")
    mount = session.mount(kind=protocol.TYPE_FUSEBLK, options="blksize=512")
    assert (mount.type, mount.source) == ("fuseblk.toy", loop)
    session.unmount()


ENDINGS = {
    "service hangs up": lambda session: session.service.hang_up(),
    "service reports failure": lambda session: session.service.goodbye(1),
    "service unmounts": lambda session: (session.service.command(protocol.umnt()), session.service.goodbye(0)),
    "invalid packet": lambda session: session.service.send(b"WHAT"),
    "SIGTERM": lambda session: session.helper.signal(signal.SIGTERM),
}


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)
def test_failure_without_new_mount_api_leaves_no_mount(attempt_without_new_mount_api, end):
    session = attempt_without_new_mount_api()
    session.prepare()
    end(session)
    session.assert_fails_in_one_line()


def test_mountpoint_swapped_for_symlink_is_not_followed_without_new_mount_api(attempt_without_new_mount_api, work, mountpoint):
    session, victim = attempt_without_new_mount_api(), work / "victim"
    victim.mkdir()
    mountpoint.rename(work / "moved")
    mountpoint.symlink_to(victim)
    session.prepare()
    assert mounts.at(victim) == []
    session.service.goodbye(1)
    assert session.helper.wait().code == 1
    assert mounts.at(victim) == mounts.at(work / "moved") == []
