# SPDX-License-Identifier: LGPL-2.1-or-later
"""Services that break the protocol, flood the helper, fall silent or talk to the user's terminal."""

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
from kit.waiting import PATIENCE
from kit.fake_service import HELPER, MARGIN, QUICK
from kit.waiting import wait_for
from kit.seccomp import without_system_call

IN_TIME = ["-o", f"fsvc.timeout={QUICK}"]


# commands of the wrong form


WRONG_FORMS = {
    "TYPE without flags": protocol.umnt().replace(b"UMNT", b"TYPE"),
    "TYPE cut short": protocol.type_command()[:-1],
    "TYPE too long": protocol.type_command() + b"\0",
    "NAME without a string": protocol.name("")[:-1],
    "NAME without its end": protocol.name(b"toy"),
    "NAME with two ends": protocol.name(b"toy\0\0"),
    "NAME with an end inside": protocol.name(b"toy\0toy\0"),
    "MNTP without a string": protocol.mntp("")[:-1],
    "MNTP without its padding": protocol.mntp("")[:6],
    "MNTP without its end": protocol.mntp(b"/mnt"),
    "OPTS without a string": protocol.opts("")[:-1],
    "OPTS without its end": protocol.opts(b"max_read=4096"),
    "OPTS with an end inside": protocol.opts(b"max_read=4096\0,fd=0\0"),
    "MTAB without a string": protocol.mtab("")[:-1],
    "MTAB without its end": protocol.mtab(b"rw"),
    "MTAB with an end inside": protocol.mtab(b"r\0w\0"),
    "DOIT without flags": protocol.doit()[:4],
    "DOIT cut short": protocol.doit()[:-1],
    "DOIT too long": protocol.doit() + b"\0",
    "UMNT too long": protocol.umnt() + b"\0",
    "the longest NAME": protocol.name(b"\0" * (protocol.PACKET_MAX - 4)),
    "the longest OPTS": protocol.opts(b"a" * (protocol.PACKET_MAX - 4)),
}


@pytest.mark.parametrize("packet", WRONG_FORMS.values(), ids=WRONG_FORMS)
def test_a_command_of_the_wrong_form_is_invalid(attempt, packet):
    begun = attempt()
    assert begun.service.command(packet) == errno.EINVAL
    begun.service.goodbye(0)
    begun.fails()


@pytest.mark.parametrize("packet", [protocol.byee()[:4], protocol.byee()[:-1], protocol.byee() + b"\0"], ids=repr)
def test_a_goodbye_of_the_wrong_form_is_no_success(attempt, packet):
    begun = attempt()
    begun.prepare()
    begun.service.send(packet)
    begun.service.has_ended()
    begun.service.hang_up()
    begun.blames_the_service()


@pytest.mark.parametrize("packet", [
    b"\0", b"O", b"OPE", b"WHAT", b"NEPO" + bytes(20), b"open" + bytes(20), protocol.hello(), protocol.last(),
    protocol.reply(), protocol.file("argv"), protocol.argfile(["toy"]), bytes(protocol.PACKET_MAX), b"\xff" * 64,
    b"\x1b]0;title\x07",
], ids=lambda packet: repr(packet[:8]))
@pytest.mark.parametrize("prepared", [False, True], ids=["at once", "when all is prepared"])
def test_an_unknown_command_ends_the_session(attempt, packet, prepared):
    begun = attempt()
    if prepared:
        begun.prepare()
    begun.service.send(packet)
    assert begun.service.has_ended()
    begun.blames_the_service()


def test_an_empty_packet_ends_the_session(attempt):
    begun = attempt()
    begun.prepare()
    begun.service.send(b"")
    assert begun.service.has_ended()
    begun.blames_the_service()


@pytest.mark.parametrize("head", [protocol.name(b"toy"), protocol.opts(b"max_read=4096"), b"WHAT"], ids=repr)
def test_a_packet_longer_than_any_is_not_taken_for_its_beginning(attempt, head):
    begun = attempt()
    begun.service.send(head.ljust(protocol.PACKET_MAX + 1, b"\0"))
    if not begun.service.has_ended():
        begun.service.goodbye(0)
    begun.fails()


def test_a_packet_longer_than_any_is_not_taken_for_as_much_as_fits(attempt):
    begun = attempt()
    with contextlib.suppress(HungUp):  # ending the session is as good
        assert begun.service.command(protocol.mtab("a" * (protocol.PACKET_MAX - 5)) + b"more") != 0
        begun.service.goodbye(1)
    begun.fails()


# too much of everything


def test_a_service_that_never_comes_to_the_point_is_cut_off(attempt, source):
    begun = attempt()
    with pytest.raises(HungUp):
        for _ in range(3000):
            begun.service.command(protocol.umnt())
    begun.blames_the_service()


def test_a_thousand_open_files_of_a_patient_service_are_still_too_many(attempt, source):
    begun = attempt()
    with pytest.raises(HungUp):
        for _ in range(3000):
            begun.service.drop(begun.service.open(source).descriptor)
    begun.blames_the_service()


def test_descriptors_handed_over_do_not_stay_in_the_helper(attempt, source):
    begun = attempt()
    for _ in range(20):
        begun.service.drop(begun.service.open(source).descriptor)
    assert begun.helper.descriptors().count(str(source)) <= 1


def test_a_service_that_never_reads_does_not_keep_the_helper(attempt, source):
    begun = attempt(*IN_TIME)
    path = b"/" * 60000 + b"\0"
    begun.service.connection.setblocking(False)
    with pytest.raises((BlockingIOError, HungUp)):
        for _ in range(3000):
            begun.service.send(protocol.open_command(path, request=protocol.QUIET))
            time.sleep(0.001)
    assert begun.fails().seconds < QUICK + MARGIN


# silence


def assert_gives_up_in_time(begun):
    assert begun.service is None or begun.service.has_ended(QUICK + MARGIN)
    line = begun.blames_the_service()
    assert QUICK / 2 < begun.helper.wait().seconds < QUICK + MARGIN
    return line


def test_a_service_that_never_comes_is_given_up(start):
    assert_gives_up_in_time(start(*IN_TIME))


def test_a_service_that_never_answers_is_given_up(start):
    begun = start(*IN_TIME)
    begun.connect().receive_hello()
    assert_gives_up_in_time(begun)


def test_a_service_that_falls_silent_is_given_up(attempt):
    assert_gives_up_in_time(attempt(*IN_TIME))


def test_a_service_that_falls_silent_after_mounting_leaves_nothing_mounted(attempt):
    begun = attempt(*IN_TIME)
    begun.prepare()
    assert_gives_up_in_time(begun)


def test_a_service_that_says_a_word_now_and_then_is_given_up_all_the_same(attempt):
    begun = attempt(*IN_TIME)
    with pytest.raises(HungUp):
        for _ in range(10 * (QUICK + MARGIN)):
            begun.service.command(protocol.umnt())
            time.sleep(0.1)
    assert_gives_up_in_time(begun)


def test_a_service_whose_queue_is_full_is_given_up(start, listen, run):
    listener = listen(backlog=0)
    waiting = [run(*HELPER, "/dev/null", "/mnt", "-t", "fuse.toy") for _ in range(3)]
    wait_for(lambda: all(not each.runs() or "socket:" in str(each.descriptors()) for each in waiting))
    begun = start(*IN_TIME, listener=listener)
    assert begun.fails_in_one_line()
    assert begun.helper.wait().seconds < QUICK + MARGIN


@pytest.mark.parametrize("seconds", ["0", "-1", "x", "", "1s", "99999999999999999999", "1e3", "nan"])
def test_a_time_that_is_none_is_a_usage_error(start, seconds):
    begun = start("-o", f"fsvc.timeout={seconds}")
    begun.fails_in_one_line("fsvc.timeout")


def test_a_user_on_a_terminal_is_told_what_the_helper_waits_for(start):
    master, terminal = pty.openpty()
    begun = start("-o", f"fsvc.timeout={PATIENCE}", stderr=terminal)
    os.close(terminal)
    service = begun.connect()
    service.receive_hello()
    try:
        assert select.select([master], [], [], PATIENCE / 2)[0]
        assert time.monotonic() - begun.helper.started > 2, "not at once"
        assert b"waiting for the service" in os.read(master, 4096)
        assert begun.helper.runs()
    finally:
        os.close(master)


# being told to stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("reach", ["HELLO", "handshake", "DOIT"])
def test_a_signal_ends_the_wait_and_leaves_nothing(start, number, reach):
    begun = start()
    if reach == "HELLO":
        begun.connect().receive_hello()
    else:
        begun.handshake()
    if reach == "DOIT":
        begun.prepare()
    begun.helper.signal(number)
    begun.fails_in_one_line()
    assert begun.helper.wait().seconds < MARGIN


# what reaches the user's terminal


ESCAPE = "\x1b]0;owned\x07\r\x1b[2J\u009b1m\x7f\u202e"


def test_no_control_character_reaches_the_terminal_through_a_path(attempt):
    begun = attempt()
    begun.service.open(f"/tmp/{ESCAPE}", request=0)
    begun.service.goodbye(1)
    assert_harmless(begun.fails().errors)


@pytest.mark.parametrize("command", [
    protocol.name(ESCAPE), protocol.mntp(ESCAPE), protocol.opts(ESCAPE), protocol.mtab(ESCAPE),
    protocol.opts(f"max_read={ESCAPE}"), protocol.name("line\nfuservicemount3: all is well"),
], ids=lambda command: repr(command[:4]))
def test_no_control_character_reaches_the_terminal_through_a_command(attempt, command):
    begun = attempt()
    assert begun.service.command(command) != 0
    begun.service.goodbye(1)
    assert_harmless(begun.fails().errors)


def assert_harmless(text):
    for line in text.split("\n"):
        assert not line or line.isprintable(), repr(line)
        assert not line.startswith("fuservicemount3: all is well")


def test_a_path_with_control_characters_is_shown_escaped(attempt):
    begun = attempt()
    begun.service.open("/tmp/\x1b[2Jend", request=0)
    begun.service.goodbye(1)
    assert r"\x1b[2Jend" in begun.fails().errors


# a caller's world with things missing


@pytest.fixture(params=[[0], [2], [0, 1, 2]], ids=str)
def closed(request):
    """The standard streams that the helper is started without."""
    return request.param


@pytest.fixture
def started_without_streams(start, closed):
    words = " ".join(f"{number}>&-" for number in closed)
    begun = start(command=["sh", "-c", f'exec "$@" {words}', "sh", *HELPER])
    begun.handshake()
    return begun


def test_nothing_that_the_helper_opens_becomes_a_standard_stream(started_without_streams, closed):
    streams = [os.readlink(f"/proc/{started_without_streams.helper.pid}/fd/{number}") for number in closed]
    assert set(streams) == {"/dev/null"}


def test_a_helper_without_standard_streams_writes_into_no_image(started_without_streams, source):
    before, service = source.read_bytes(), started_without_streams.service
    assert service.open(source, os.O_RDWR).error == 0
    service.open("/nowhere", request=0)
    service.goodbye(1)
    assert started_without_streams.helper.wait().code == 1
    assert source.read_bytes() == before


# older kernels


MOUNT_CALLS = {"fsopen": 430, "fsconfig": 431, "fsmount": 432, "move_mount": 429}  # they came with one release


@pytest.fixture(params=MOUNT_CALLS.keys())
def on_an_old_kernel(request, attempt):
    """An attempt whose helper misses one of the calls of the new mount API, as kernels before 5.2 miss all."""
    missing = without_system_call(MOUNT_CALLS[request.param], errno.ENOSYS)
    return lambda *words, **options: attempt(*words, preexec_fn=missing, **options)


@pytest.mark.parametrize("call", MOUNT_CALLS)
@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOMEM])
def test_nothing_is_mounted_where_a_step_of_it_fails(start, call, error):
    begun = start(preexec_fn=without_system_call(MOUNT_CALLS[call], error))
    begun.try_to_mount()
    begun.fails()


def test_an_old_kernel_mounts_as_well(on_an_old_kernel):
    begun = on_an_old_kernel("-o", "noexec")
    mount = begun.mount(flags=mounts.NOATIME, options="allow_other,max_read=4096")
    assert (mount.type, mount.source) == ("fuse.toy", begun.source)
    assert {"nosuid", "nodev", "noexec", "noatime"} <= mount.flags
    assert {"user_id=0", "group_id=0", "allow_other", "default_permissions", "max_read=4096"} <= mount.options
    begun.unmount()


def test_an_old_kernel_mounts_a_block_device_as_well(on_an_old_kernel, loop):
    begun = on_an_old_kernel(source=loop, kind="fuseblk.toy")
    mount = begun.mount(kind=protocol.TYPE_FUSEBLK, options="blksize=512")
    assert (mount.type, mount.source) == ("fuseblk.toy", loop)
    begun.unmount()


ENDINGS = {
    "hangs up": lambda begun: begun.service.hang_up(),
    "says that it failed": lambda begun: begun.service.goodbye(1),
    "takes the mount back": lambda begun: (begun.service.command(protocol.umnt()), begun.service.goodbye(0)),
    "says nonsense": lambda begun: begun.service.send(b"WHAT"),
    "is interrupted": lambda begun: begun.helper.signal(signal.SIGTERM),
}


@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)
def test_nothing_stays_mounted_on_an_old_kernel_when_the_service(on_an_old_kernel, end):
    begun = on_an_old_kernel()
    begun.prepare()
    end(begun)
    begun.fails_in_one_line()


def test_a_mountpoint_is_not_swapped_on_an_old_kernel(on_an_old_kernel, work, mountpoint):
    begun, victim = on_an_old_kernel(), work / "victim"
    victim.mkdir()
    mountpoint.rename(work / "moved")
    mountpoint.symlink_to(victim)
    begun.prepare()
    assert mounts.at(victim) == []
    begun.service.goodbye(1)
    assert begun.helper.wait().code == 1
    assert mounts.at(victim) == mounts.at(work / "moved") == []
