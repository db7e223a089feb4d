# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-listen survives whatever a service does, or who comes to its sockets, and starts others meanwhile."""

import contextlib
import ctypes
import errno
import os
import resource
import signal
import socket
import struct
from pathlib import Path

import pytest

from kit import mounts
from kit.channel import passrights_is_known
from kit.fake_service import SOCKETS
from kit.listener_fixtures import listening, mount, mounted, server  # noqa: F401: fixtures
from kit.listener_fixtures import CAP_SYS_RESOURCE, NOT_EVERYWHERE, SETSOCKOPT, SQUASHFUSE, connect, shows, succeeds, unmount
from kit.programs import NOBODY
from kit.waiting import PATIENCE, wait_for
from kit.seccomp import without_system_call

PR_CAPBSET_DROP = 24

# what services do


def test_junk_is_survived(listening, mount, mountpoint):
    listener = listening("squashfs", *SQUASHFUSE)
    for junk in b"", b"\0", b"LAST", os.urandom(4000), b"OPEN" * 10000:
        with connect() as connection, contextlib.suppress(OSError):
            connection.send(junk)
    wait_for(lambda: not listener.services(), what="the end of all services")
    succeeds(mount())
    unmount(mountpoint)


def test_many_that_hang_up_are_survived(listening, mount, mountpoint):
    listener = listening("squashfs", *SQUASHFUSE)
    for _ in range(100):
        connect().close()
    wait_for(lambda: listener.said().count("handshake with the mount helper failed") == 100, 60, "the end of all services")
    succeeds(mount())
    unmount(mountpoint)


def test_a_server_that_dies_ends_one_mount_and_no_other(mounted, mount, work, mountpoint, tree):
    place = work / "other"
    place.mkdir()
    first, = mounted.services()
    succeeds(mount(mountpoint=place))
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: len(mounted.services()) == 1, what="its end")
    with pytest.raises(OSError):
        os.listdir(mountpoint)
    shows(place, tree)
    wait_for(lambda: f"squashfs[{first}]: killed by signal 9\n" in mounted.said(), what="the word of its end")
    unmount(place)


def test_all_of_a_service_ends_with_its_first_process(mounted, server):
    first, = mounted.services()
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{server}"), what="the server's end")


def test_a_service_that_hangs_at_its_start_keeps_no_other_from_starting(listening, mount, mountpoint, work):
    """One is shown a directory whose server does not answer."""
    (work / "silent").mkdir()
    fuse = os.open("/dev/fuse", os.O_RDWR)
    mounts.mount("silent", work / "silent", "fuse", 0, f"fd={fuse},rootmode=40000,user_id=0,group_id=0")
    try:
        (work / "offers").write_text(f"--show={work}/silent {NOT_EVERYWHERE} silent -- squashfuse -f\n"
                                     f"{NOT_EVERYWHERE} squashfs -- squashfuse -f\n")
        listener = listening(f"--file={work}/offers", types=["silent", "squashfs"])
        with connect("silent"):
            hanging, = wait_for(listener.services, what="the first service")
            wait_for(lambda: "fuse" in Path(f"/proc/{hanging}/stack").read_text(), what="its hanging")
            succeeds(mount())
            unmount(mountpoint)
            assert hanging in listener.services()
            os.kill(hanging, signal.SIGKILL)
            wait_for(lambda: not listener.services(), what="its end")
    finally:
        os.close(fuse)
        mounts.detach(work / "silent")


def test_no_descriptor_left_is_survived(listening, mount, mountpoint):
    listener = listening("squashfs", *SQUASHFUSE)
    _, hard = resource.prlimit(listener.pid, resource.RLIMIT_NOFILE)
    few = len(os.listdir(f"/proc/{listener.pid}/fd")) + 1
    resource.prlimit(listener.pid, resource.RLIMIT_NOFILE, (few, hard))
    assert mount().code == 1
    assert "cannot start a service" in listener.said()
    resource.prlimit(listener.pid, resource.RLIMIT_NOFILE, (hard, hard))
    succeeds(mount())
    unmount(mountpoint)


def few_files():
    """A little now, a little more by itself, and no right to raise that."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (50, 100))
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0)


def test_where_few_files_can_be_open_it_takes_what_it_may(listening, mount, mountpoint):
    listener = listening("squashfs", *SQUASHFUSE, preexec_fn=few_files)
    assert resource.prlimit(listener.pid, resource.RLIMIT_NOFILE) == (100, 100)
    assert "limit of open files is 100, fewer than the 4352" in listener.said()
    succeeds(mount())
    unmount(mountpoint)


def test_a_pipe_that_nobody_reads_is_survived(listening, mount, mountpoint, tree):
    read, write = os.pipe()
    listener = listening("squashfs", *SQUASHFUSE, stderr=write)
    os.close(write)
    os.close(read)
    connect().close()
    wait_for(lambda: not listener.services(), what="the end of the service")
    succeeds(mount())
    shows(mountpoint, tree)
    unmount(mountpoint)


def test_a_pipe_that_is_full_is_survived(listening, mount, mountpoint, tree):
    """Nobody waits for who does not read."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, bytes(1))
    os.set_blocking(write, True)
    listener = listening("squashfs", *SQUASHFUSE, stderr=write)
    connect().close()
    wait_for(lambda: not listener.services(), what="the end of the service")
    succeeds(mount())
    shows(mountpoint, tree)
    assert os.get_blocking(write)
    unmount(mountpoint)
    os.close(write)
    os.close(read)


def test_a_mount_that_fails_has_the_log_named(listening, mount, source):
    listener = listening("squashfs", *SQUASHFUSE)
    failed = mount(source=source)
    assert failed.code == 1
    named = "journalctl" if os.path.exists("/run/systemd/system") else "see the log of fsvc-listen"
    assert named in failed.one_line()
    wait_for(lambda: "squashfuse failed with exit status" in listener.said(), what="the service's words")


# what somebody sends, and nobody receives, is closed by whoever closes the connection or reads over it

LINGER = 10 * PATIENCE
WITHOUT_PASSRIGHTS = {"preexec_fn": without_system_call(SETSOCKOPT, errno.ENOPROTOOPT)}  # as Linux before 6.16


@contextlib.contextmanager
def slow_to_close():
    """The descriptor of a connection whose end waits until all is received, which does not happen here."""
    with socket.create_server(("127.0.0.1", 0)) as there:
        here = socket.create_connection(there.getsockname())
        here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER))
        here.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                here.send(bytes(1 << 16))
        yield here.detach()


def can_send(connection, descriptor):
    try:
        socket.send_fds(connection, [b"."], [descriptor])
    except PermissionError:
        return False
    return True


def pass_on(connection, descriptor):
    """Sends it away, when it can be sent. It must not have been closed there yet, or this would wait for its end."""
    wait_for(lambda: can_send(connection, descriptor), what="a service, which takes it")
    os.close(descriptor)


def still_starts_services(listener):
    before = set(listener.services())
    with connect():
        wait_for(lambda: set(listener.services()) - before, what="another service")


def test_the_service_is_sent_descriptors_and_not_the_listener(listening):
    listener = listening("squashfs", *SQUASHFUSE)
    listener.program.signal(signal.SIGSTOP)
    with connect() as connection, open(os.devnull) as null:
        assert can_send(connection, null.fileno()) != passrights_is_known()
        listener.program.signal(signal.SIGCONT)
        wait_for(listener.services, what="the service")
        if passrights_is_known():
            wait_for(lambda: can_send(connection, null.fileno()), what="its word that it takes them")


def test_the_listener_waits_for_no_end_of_what_it_was_sent(listening):
    listener = listening("squashfs", "--mounts-of-user=1", *SQUASHFUSE, **WITHOUT_PASSRIGHTS)
    with slow_to_close() as slow:
        with connect():
            wait_for(listener.services, what="the service")
            listener.program.signal(signal.SIGSTOP)
            with connect() as connection:
                pass_on(connection, slow)
            listener.program.signal(signal.SIGCONT)
            wait_for(lambda: "mount refused for uid" in listener.said(), what="the refusal")
        wait_for(lambda: not listener.services(), what="the end of the service")
        still_starts_services(listener)


@pytest.mark.parametrize("lacks", [{}, WITHOUT_PASSRIGHTS], ids=["", "SO_PASSRIGHTS"])
def test_the_listener_waits_for_no_end_of_what_a_server_says(listening, work, lacks):
    """Its user gives the server what it could not make itself."""
    program = work / "talker"
    program.write_text(TALKER)
    program.chmod(0o755)
    listener = listening("squashfs", "--service", "--", program, **lacks)
    with slow_to_close() as slow, connect() as connection:
        connection.settimeout(PATIENCE)
        wait_for(listener.services, what="the service")
        pass_on(connection, slow)
        listener.program.signal(signal.SIGSTOP)
        connection.send(b".")
        assert connection.recv(1) == b"."
        listener.program.signal(signal.SIGCONT)
        wait_for(lambda: "spoken" in listener.said(), what="the service's words")
        still_starts_services(listener)


TALKER = r"""#!/usr/bin/python3 -IS
import os, socket, time
connection, log = socket.socket(fileno=3), socket.socket(fileno=2)
given = socket.recv_fds(connection, 1, 1)[1]
connection.recv(1)
try:
    socket.send_fds(log, [b"."], given)
    os.close(given[0])
except OSError:
    pass
log.send(b"spoken\n")
connection.send(b".")
time.sleep(60)
"""


# limits of connections


def test_no_more_mounts_than_the_limit(mounted, listening, mount, work, mountpoint, source):
    place = work / "other"
    place.mkdir()
    unmount(mountpoint)
    mounted.end()
    listener = listening("squashfs", "--mounts=1", *SQUASHFUSE)
    succeeds(mount())
    failed = mount(mountpoint=place)
    assert failed.code == 1 and failed.one_line()
    assert "limit of 1 mounts in total reached" in listener.said()
    unmount(mountpoint)
    wait_for(lambda: not listener.services(), what="the end of the service")
    succeeds(mount(mountpoint=place))
    unmount(place)


@pytest.fixture
def hold(run):
    """Connects as somebody, and stays."""
    os.chmod(SOCKETS, 0o755)
    script = f"""if True:
        import socket, time
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect("{SOCKETS}/squashfs")
        time.sleep(600)"""
    return lambda user: run("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "/usr/bin/python3", "-c",
                            script)


def test_one_user_does_not_take_all(listening, hold):
    listener = listening("squashfs", "--mounts-of-user=2", *SQUASHFUSE)
    os.chmod(listener.sockets[0], 0o222)
    for count in 1, 2, 2:
        hold(NOBODY)
        wait_for(lambda: len(listener.services()) == count, what="the services")
    refusal = "squashfs: mount refused for uid 65534: limit of 2 mounts per user reached (2 of 4096 in total)"
    wait_for(lambda: refusal in listener.said(), what=refusal)
    with connect():
        wait_for(lambda: len(listener.services()) == 3, what="another user's")


def test_a_user_does_not_take_all_as_many_others(listening, hold, work):
    (work / "subuid").write_text("somebody:100000:65536\n")
    Path("/etc/subuid").touch()
    mounts.mount(work / "subuid", "/etc/subuid", None, mounts.BIND)
    try:
        listener = listening("squashfs", "--mounts-of-user=1", *SQUASHFUSE)
        os.chmod(listener.sockets[0], 0o222)
        hold(100000)
        wait_for(listener.services, what="the service")
        hold(165535)
        wait_for(lambda: "mount refused for uid 100000" in listener.said(), what="the refusal")
        hold(165536)
        wait_for(lambda: len(listener.services()) == 2, what="another user's")
    finally:
        mounts.detach("/etc/subuid")


# what a server says


@pytest.fixture
def talker(listening, mount, work):
    """A server that says something and fails; what is shown of it."""

    def talker(script):
        program = work / "talker"
        program.write_text(f"#!/usr/bin/python3 -IS\nimport os, sys\n{script}\nsys.exit(1)\n")
        program.chmod(0o755)
        listener = listening("squashfs", "--", program)
        assert mount().code == 1
        wait_for(lambda: not listener.services(), what="the end of the service")
        wait_for(lambda: "failed with exit status" in listener.said() or "lines suppressed" in listener.said(),
                 what="the last words")
        return listener.said()

    return talker


def test_what_a_server_says_is_shown_behind_its_name(talker):
    said = talker('print("out", flush=True); print("half a", file=sys.stderr, end=" "); sys.stderr.write("line")')
    lines = said.splitlines()
    assert all(line.startswith("fsvc-listen: squashfs[") for line in lines)
    assert any(line.endswith("]: out") for line in lines) and any("]: half a line" in line for line in lines)


def test_a_server_moves_no_cursor(talker):
    said = talker(r'os.write(2, b"\x1b[2Jred\x1b[31m\x07\r\x00\xff\xe2\x80\xaeend\n")')
    assert "red" in said and "end\n" in said
    assert all(line.isprintable() for line in said.split("\n"))


def test_a_server_that_talks_without_end_does_not_fill_the_log(talker):
    said = talker("for i in range(20000): print('line', i)")
    assert 100 < said.count("]: line ") <= 500
    assert "lines suppressed" in said


def test_servers_that_come_again_and_again_do_not_fill_the_log(listening, work):
    program = work / "talker"
    program.write_text('#!/bin/sh\nfor i in 1 2 3 4; do for j in $(seq 125); do echo $i $j; done; done')
    program.chmod(0o755)
    listener = listening("squashfs", "--service", "--", program)
    for count in range(1, 7):
        connect().close()
        wait_for(lambda: listener.said().count("]: 4 125\n") == min(count, 4), what="the service's words")
        wait_for(lambda: not listener.services(), what="its end")
    assert listener.said().count("\n") == 2000


def test_a_line_without_end_is_cut(talker):
    said = talker('print("x" * 100000)')
    assert max(map(len, said.splitlines())) < 1100
