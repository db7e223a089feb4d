# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-listen survives misbehaving services and clients, and keeps starting other services."""

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
from kit.listener_fixtures import (CAP_SYS_RESOURCE, CGROUP_OPTIONAL, SETSOCKOPT, SQUASHFUSE, assert_same_tree, assert_success,
                                   connect, unmount)
from kit.programs import NOBODY
from kit.waiting import TIMEOUT_S, wait_for
from kit.seccomp import without_system_call

PR_CAPBSET_DROP = 24

# services


def test_random_data_does_not_stop_listener(listening, mount, mountpoint):
    listener = listening("squashfs", *SQUASHFUSE)
    for junk in b"", b"\0", b"LAST", os.urandom(4000), b"OPEN" * 10000:
        with connect() as connection, contextlib.suppress(OSError):
            connection.send(junk)
    wait_for(lambda: not listener.services(), what="the end of all services")
    assert_success(mount())
    unmount(mountpoint)


def test_many_closed_connections_do_not_stop_listener(listening, mount, mountpoint):
    listener = listening("squashfs", *SQUASHFUSE)
    for _ in range(100):
        connect().close()
    wait_for(lambda: listener.said().count("handshake with the mount helper failed") == 100, 60, "the end of all services")
    assert_success(mount())
    unmount(mountpoint)


def test_killed_service_ends_only_its_own_mount(mounted, mount, work, mountpoint, tree):
    target = work / "other"
    target.mkdir()
    first, = mounted.services()
    assert_success(mount(mountpoint=target))
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: len(mounted.services()) == 1, what="its end")
    with pytest.raises(OSError):
        os.listdir(mountpoint)
    assert_same_tree(target, tree)
    wait_for(lambda: f"squashfs[{first}]: killed by signal 9\n" in mounted.said(), what="the message about its end")
    unmount(target)


def test_all_processes_of_service_end_with_its_first_process(mounted, server):
    first, = mounted.services()
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{server}"), what="the end of the server")


def test_service_that_hangs_at_start_does_not_block_others(listening, mount, mountpoint, work):
    """The service is shown a directory of a server that does not answer."""
    (work / "silent").mkdir()
    fuse = os.open("/dev/fuse", os.O_RDWR)
    mounts.mount("silent", work / "silent", "fuse", 0, f"fd={fuse},rootmode=40000,user_id=0,group_id=0")
    try:
        (work / "services").write_text(f"--show={work}/silent {CGROUP_OPTIONAL} silent -- squashfuse -f\n"
                                     f"{CGROUP_OPTIONAL} squashfs -- squashfuse -f\n")
        listener = listening(f"--file={work}/services", types=["silent", "squashfs"])
        with connect("silent"):
            hanging, = wait_for(listener.services, what="the first service")
            wait_for(lambda: "fuse" in Path(f"/proc/{hanging}/stack").read_text(), what="a blocked service")
            assert_success(mount())
            unmount(mountpoint)
            assert hanging in listener.services()
            os.kill(hanging, signal.SIGKILL)
            wait_for(lambda: not listener.services(), what="its end")
    finally:
        os.close(fuse)
        mounts.detach(work / "silent")


def test_exhausted_file_descriptors_do_not_stop_listener(listening, mount, mountpoint):
    listener = listening("squashfs", *SQUASHFUSE)
    _, hard = resource.prlimit(listener.pid, resource.RLIMIT_NOFILE)
    fd_limit = len(os.listdir(f"/proc/{listener.pid}/fd")) + 1
    resource.prlimit(listener.pid, resource.RLIMIT_NOFILE, (fd_limit, hard))
    assert mount().code == 1
    assert "cannot start a service" in listener.said()
    resource.prlimit(listener.pid, resource.RLIMIT_NOFILE, (hard, hard))
    assert_success(mount())
    unmount(mountpoint)


def limit_open_files():
    """Set a low soft limit and a slightly higher hard limit, without the capability to raise it."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (50, 100))
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0)


def test_soft_limit_of_open_files_is_raised_to_hard_limit(listening, mount, mountpoint):
    listener = listening("squashfs", *SQUASHFUSE, preexec_fn=limit_open_files)
    assert resource.prlimit(listener.pid, resource.RLIMIT_NOFILE) == (100, 100)
    assert "limit of open files is 100, fewer than the 4352" in listener.said()
    assert_success(mount())
    unmount(mountpoint)


def test_closed_log_pipe_does_not_stop_listener(listening, mount, mountpoint, tree):
    read, write = os.pipe()
    listener = listening("squashfs", *SQUASHFUSE, stderr=write)
    os.close(write)
    os.close(read)
    connect().close()
    wait_for(lambda: not listener.services(), what="the end of the service")
    assert_success(mount())
    assert_same_tree(mountpoint, tree)
    unmount(mountpoint)


def test_full_log_pipe_does_not_stop_listener(listening, mount, mountpoint, tree):
    """The listener does not wait for the reader."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, bytes(1))
    os.set_blocking(write, True)
    listener = listening("squashfs", *SQUASHFUSE, stderr=write)
    connect().close()
    wait_for(lambda: not listener.services(), what="the end of the service")
    assert_success(mount())
    assert_same_tree(mountpoint, tree)
    assert os.get_blocking(write)
    unmount(mountpoint)
    os.close(write)
    os.close(read)


def test_failed_mount_names_the_log(listening, mount, source):
    listener = listening("squashfs", *SQUASHFUSE)
    failed = mount(source=source)
    assert failed.code == 1
    named = "journalctl" if os.path.exists("/run/systemd/system") else "see the log of fsvc-listen"
    assert named in failed.one_line()
    wait_for(lambda: "squashfuse failed with exit status" in listener.said(), what="the message of the service")


# file descriptors that are sent but not received: closing them may block the closing process

LINGER_S = 10 * TIMEOUT_S
WITHOUT_PASSRIGHTS = {"preexec_fn": without_system_call(SETSOCKOPT, errno.ENOPROTOOPT)}  # like Linux before 6.16


@contextlib.contextmanager
def blocking_on_close():
    """Yield a descriptor whose close(2) blocks: a connection with SO_LINGER, whose peer reads nothing."""
    with socket.create_server(("127.0.0.1", 0)) as remote:
        local = socket.create_connection(remote.getsockname())
        local.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER_S))
        local.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                local.send(bytes(1 << 16))
        yield local.detach()


def can_send(connection, descriptor):
    try:
        socket.send_fds(connection, [b"."], [descriptor])
    except PermissionError:
        return False
    return True


def send_and_close(connection, descriptor):
    """Send a descriptor to a service and close it local. The other process must hold it, or close(2) would block this one."""
    wait_for(lambda: can_send(connection, descriptor), what="a service that accepts descriptors")
    os.close(descriptor)


def assert_starts_services(listener):
    before = set(listener.services())
    with connect():
        wait_for(lambda: set(listener.services()) - before, what="another service")


def test_only_service_can_be_sent_descriptors(listening):
    listener = listening("squashfs", *SQUASHFUSE)
    listener.program.signal(signal.SIGSTOP)
    with connect() as connection, open(os.devnull) as null:
        assert can_send(connection, null.fileno()) != passrights_is_known()
        listener.program.signal(signal.SIGCONT)
        wait_for(listener.services, what="the service")
        if passrights_is_known():
            wait_for(lambda: can_send(connection, null.fileno()), what="a service that accepts descriptors")


def test_listener_does_not_block_on_closing_descriptors_sent_to_its_socket(listening):
    listener = listening("squashfs", "--mounts-of-user=1", *SQUASHFUSE, **WITHOUT_PASSRIGHTS)
    with blocking_on_close() as slow:
        with connect():
            wait_for(listener.services, what="the service")
            listener.program.signal(signal.SIGSTOP)
            with connect() as connection:
                send_and_close(connection, slow)
            listener.program.signal(signal.SIGCONT)
            wait_for(lambda: "mount refused for uid" in listener.said(), what="the refusal")
        wait_for(lambda: not listener.services(), what="the end of the service")
        assert_starts_services(listener)


@pytest.mark.parametrize("lacks", [{}, WITHOUT_PASSRIGHTS], ids=["", "SO_PASSRIGHTS"])
def test_listener_does_not_block_on_closing_descriptors_sent_by_server(listening, work, lacks):
    """The client passes the descriptor to the server, which cannot create one itself."""
    program = work / "server"
    program.write_text(DESCRIPTOR_SENDER)
    program.chmod(0o755)
    listener = listening("squashfs", "--service", "--", program, **lacks)
    with blocking_on_close() as slow, connect() as connection:
        connection.settimeout(TIMEOUT_S)
        wait_for(listener.services, what="the service")
        send_and_close(connection, slow)
        listener.program.signal(signal.SIGSTOP)
        connection.send(b".")
        assert connection.recv(1) == b"."
        listener.program.signal(signal.SIGCONT)
        wait_for(lambda: "spoken" in listener.said(), what="the message of the service")
        assert_starts_services(listener)


DESCRIPTOR_SENDER = r"""#!/usr/bin/python3 -IS
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


# limits of mounts


def test_number_of_mounts_is_limited(mounted, listening, mount, work, mountpoint, source):
    target = work / "other"
    target.mkdir()
    unmount(mountpoint)
    mounted.end()
    listener = listening("squashfs", "--mounts=1", *SQUASHFUSE)
    assert_success(mount())
    failed = mount(mountpoint=target)
    assert failed.code == 1 and failed.one_line()
    assert "limit of 1 mounts in total reached" in listener.said()
    unmount(mountpoint)
    wait_for(lambda: not listener.services(), what="the end of the service")
    assert_success(mount(mountpoint=target))
    unmount(target)


@pytest.fixture
def hold(run):
    """Connect as a user, and keep the connection."""
    os.chmod(SOCKETS, 0o755)
    script = f"""if True:
        import socket, time
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect("{SOCKETS}/squashfs")
        time.sleep(600)"""
    return lambda user: run("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "/usr/bin/python3", "-c",
                            script)


def test_number_of_mounts_per_user_is_limited(listening, hold):
    listener = listening("squashfs", "--mounts-of-user=2", *SQUASHFUSE)
    os.chmod(listener.sockets[0], 0o222)
    for count in 1, 2, 2:
        hold(NOBODY)
        wait_for(lambda: len(listener.services()) == count, what="the services")
    refusal = "squashfs: mount refused for uid 65534: limit of 2 mounts per user reached (2 of 4096 in total)"
    wait_for(lambda: refusal in listener.said(), what=refusal)
    with connect():
        wait_for(lambda: len(listener.services()) == 3, what="the service of another user")


def test_subordinate_user_ids_count_as_one_user(listening, hold, work):
    (work / "subuid").write_text("alice:100000:65536\n")
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
        wait_for(lambda: len(listener.services()) == 2, what="the service of another user")
    finally:
        mounts.detach("/etc/subuid")


# messages of servers


@pytest.fixture
def server_log(listening, mount, work):
    """Run a server that executes SCRIPT and fails. Return what the listener logged."""

    def server_log(script):
        program = work / "server"
        program.write_text(f"#!/usr/bin/python3 -IS\nimport os, sys\n{script}\nsys.exit(1)\n")
        program.chmod(0o755)
        listener = listening("squashfs", "--", program)
        assert mount().code == 1
        wait_for(lambda: not listener.services(), what="the end of the service")
        wait_for(lambda: "failed with exit status" in listener.said() or "lines suppressed" in listener.said(),
                 what="the last message")
        return listener.said()

    return server_log


def test_messages_of_server_are_logged_with_name_of_service(server_log):
    said = server_log('print("out", flush=True); print("half a", file=sys.stderr, end=" "); sys.stderr.write("line")')
    lines = said.splitlines()
    assert all(line.startswith("fsvc-listen: squashfs[") for line in lines)
    assert any(line.endswith("]: out") for line in lines) and any("]: half a line" in line for line in lines)


def test_control_characters_of_server_are_escaped(server_log):
    said = server_log(r'os.write(2, b"\x1b[2Jred\x1b[31m\x07\r\x00\xff\xe2\x80\xaeend\n")')
    assert "red" in said and "end\n" in said
    assert all(line.isprintable() for line in said.split("\n"))


def test_endless_output_of_server_is_limited(server_log):
    said = server_log("for i in range(20000): print('line', i)")
    assert 100 < said.count("]: line ") <= 500
    assert "lines suppressed" in said


def test_output_of_many_services_is_limited(listening, work):
    program = work / "server"
    program.write_text('#!/bin/sh\nfor i in 1 2 3 4; do for j in $(seq 125); do echo $i $j; done; done')
    program.chmod(0o755)
    listener = listening("squashfs", "--service", "--", program)
    for count in range(1, 7):
        connect().close()
        wait_for(lambda: listener.said().count("]: 4 125\n") == min(count, 4), what="the output of the service")
        wait_for(lambda: not listener.services(), what="its end")
    assert listener.said().count("\n") == 2000


def test_long_line_of_server_is_truncated(server_log):
    said = server_log('print("x" * 100000)')
    assert max(map(len, said.splitlines())) < 1100
