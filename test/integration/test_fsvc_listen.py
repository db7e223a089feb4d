# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-listen starts a contained service for each mount, without systemd, and survives whatever one does."""

import contextlib
import errno
import fcntl
import os
import re
import resource
import signal
import socket
import stat
import struct
import time
from pathlib import Path

import pytest

from kit import mounts
from kit.channel import passrights_is_known
from kit.fake_service import SOCKETS
from kit.listening import listening, mount, mounted, refused, server  # noqa: F401: fixtures
from kit.listening import (FSVC_LISTEN, GETRANDOM, NOT_EVERYWHERE, SETSOCKOPT, SQUASHFUSE, connect, hard_limits,
                           has_no_capability, lives, shows, status, succeeds, unmount)
from kit.programs import NOBODY, REPOSITORY, SERVERS, wait_for, without_system_call

CAP_SYS_RESOURCE = 24
F_OFD_SETLK = 37

# mounting


def test_each_file_of_an_image_is_there(mounted, mountpoint, tree):
    shows(mountpoint, tree)
    assert {"nosuid", "nodev"} <= mounts.the_one_at(mountpoint).flags


def test_nothing_is_left_of_a_mount(mounted, mountpoint):
    unmount(mountpoint)
    wait_for(lambda: not mounted.services(), what="the end of the service")


def test_a_server_that_is_a_service_by_itself_serves(listening, mount, source, mountpoint):
    listener = listening("single", "--service", "--", SERVERS / "single_file_ll", types=["single"])
    succeeds(mount(source=source, kind="single"))
    assert (mountpoint / "single_file").read_bytes() == source.read_bytes()
    assert status(listener.services()[0])["NSpid"].split()[1:] == ["1"]
    unmount(mountpoint)


def test_what_is_written_reaches_the_source(listening, mount, source, mountpoint):
    listening("single", "--service", "--", SERVERS / "single_file_hl", types=["single"])
    succeeds(mount(source=source, kind="single"))
    with open(mountpoint / "single_file", "r+b") as file:
        file.seek(5000)
        file.write(b"written")
    unmount(mountpoint)
    assert source.read_bytes()[4999:5008] == bytes([4999 % 256]) + b"written" + bytes([5007 % 256])


def test_unmounting_waits_until_the_server_has_written_back(listening, mount, source, mountpoint):
    listener = listening("slow", "--", SERVERS / "slow_flush", "{source}", "{mountpoint}", "-f", types=["slow"])
    succeeds(mount(source=source, kind="slow"))
    first, = listener.services()
    assert f" ATTRS=fsvc.server={first}:" in " ".join(mounts.user_table())
    with open(mountpoint / "data", "r+b") as file:
        file.write(b"late")
    started = time.monotonic()
    unmount(mountpoint)
    assert time.monotonic() - started > 3
    assert source.read_bytes()[:4] == b"late"


def test_a_file_offers_several_types(listening, mount, mountpoint, source, work, tree):
    (work / "offers").write_text("# what there is\n\n"
                                 "squashfs --allow-missing=cgroup --read-only --memory=512M -- squashfuse -f # more\n"
                                 f"\t--allow-missing=cgroup --service single -- {SERVERS}/single_file_ll\n")
    listener = listening(f"--file={work}/offers", types=["squashfs", "single"])
    succeeds(mount())
    shows(mountpoint, tree)
    assert int(hard_limits(listener.the_server())["Max data size"]) == 512 << 20
    unmount(mountpoint)
    succeeds(mount(source=source, kind="single"))
    unmount(mountpoint)


def test_the_root_filesystem_is_spared_at_shutdown(listening, mount, mountpoint):
    """systemd spares those of root's processes whose name begins so."""
    listener = listening("squashfs", "--root-filesystem", *SQUASHFUSE)
    succeeds(mount())
    service, = listener.services()
    usual, may_lower = Path("/proc/self/oom_score_adj").read_text(), int(status("self")["CapEff"], 16) >> CAP_SYS_RESOURCE & 1
    for pid in service, listener.the_server():
        assert Path(f"/proc/{pid}/oom_score_adj").read_text() == ("-900\n" if may_lower else usual)
        assert Path(f"/proc/{pid}/cmdline").read_bytes()[:1] == b"@"
        assert status(pid)["Uid"].split() == ["0"] * 4
        assert has_no_capability(pid)
    unmount(mountpoint)


def test_who_serves_the_root_filesystem_is_known_by_name(listening, mount, mountpoint, source):
    """To who waits at shutdown until all is written: others call themselves so too."""
    for words in SQUASHFUSE, ["--service", "--", SERVERS / "single_file_ll"]:
        kind = "single" if "--service" in words else "squashfs"
        listener = listening(kind, "--root-filesystem", *words, types=[kind])
        succeeds(mount(kind=kind, **({"source": source} if kind == "single" else {})))
        service, = listener.services()
        assert Path(f"/proc/{service}/cmdline").read_bytes().startswith(b"@/fsvc-")
        unmount(mountpoint)
        listener.end()


def test_what_root_has_under_way_elsewhere_does_not_stop_the_root_filesystem(listening, mount, mountpoint):
    """The kernel counts descriptors that were sent and not received by user."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there, open("/dev/null") as null:
        for _ in range(10):
            socket.send_fds(here, [b"."], [null.fileno()] * 200)
        listening("squashfs", "--root-filesystem", *SQUASHFUSE)
        succeeds(mount())
    unmount(mountpoint)


# the socket


def test_the_socket_is_such_as_the_helper_trusts(listening):
    os.umask(0)
    listener = listening("squashfs", *SQUASHFUSE)
    found = os.stat(listener.sockets[0])
    assert (stat.S_IFMT(found.st_mode), stat.S_IMODE(found.st_mode)) == (stat.S_IFSOCK, 0o220)
    assert (found.st_uid, found.st_gid) == (0, 0)
    os.umask(0o022)


def test_the_directory_is_made_where_it_is_missing(listening):
    mounts.detach(SOCKETS)
    try:
        with mounts.tmpfs("/run"):
            listening("squashfs", *SQUASHFUSE).end()
            found = os.stat(SOCKETS)
            assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o755, 0)
    finally:
        mounts.mount("fsvc-test", SOCKETS, "tmpfs", mounts.NOSUID | mounts.NODEV, "mode=0755")


def test_a_directory_that_others_may_write_is_refused(refused):
    os.chmod(SOCKETS, 0o777)
    try:
        assert "not trusted" in refused("squashfs", *SQUASHFUSE)
    finally:
        os.chmod(SOCKETS, 0o755)


def test_a_directory_that_cannot_be_written_is_named(refused, work):
    """And not what of a sandbox cannot be had for that."""
    mounts.mount(None, SOCKETS, None, mounts.REMOUNT | mounts.BIND | mounts.NOSUID | mounts.NODEV | mounts.RDONLY)
    try:
        said = refused("squashfs", *SQUASHFUSE)
        assert SOCKETS in said and os.strerror(errno.EROFS) in said and "allow-missing" not in said
    finally:
        mounts.mount(None, SOCKETS, None, mounts.REMOUNT | mounts.BIND | mounts.NOSUID | mounts.NODEV)


def test_a_socket_that_was_left_is_replaced(listening, mount, mountpoint):
    listening("squashfs", *SQUASHFUSE).program.kill()
    assert os.path.exists(f"{SOCKETS}/squashfs")
    listening("squashfs", *SQUASHFUSE)
    wait_for(lambda: not mount("--check").code, what="a service")
    succeeds(mount())
    unmount(mountpoint)


def test_a_socket_in_use_is_not_replaced(listening, refused):
    listening("squashfs", *SQUASHFUSE)
    assert os.strerror(errno.EADDRINUSE) in refused("squashfs", *SQUASHFUSE)
    connect().close()


def test_two_do_not_make_one_socket_at_the_same_time(run):
    """Each would find nobody there, and then one would listen where nobody finds it."""
    path = f"{SOCKETS}/squashfs"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
        with open(f"{SOCKETS}/.lock", "w") as lock:
            fcntl.fcntl(lock, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))
            second = run(*FSVC_LISTEN, NOT_EVERYWHERE, "squashfs", *SQUASHFUSE)
            wait_for(lambda: "-> OFDLCK" in Path("/proc/locks").read_text() or not second.runs() or os.path.exists(path),
                     what="its turn")
            other.bind(path)
            other.listen()
        result = second.wait()
    assert result.code == 1 and os.strerror(errno.EADDRINUSE) in result.one_line()
    os.unlink(path)
    os.unlink(f"{SOCKETS}/.lock")


def test_what_is_no_socket_is_not_replaced(refused):
    Path(f"{SOCKETS}/squashfs").touch()
    try:
        assert "squashfs" in refused("squashfs", *SQUASHFUSE)
        assert os.path.exists(f"{SOCKETS}/squashfs")
    finally:
        os.unlink(f"{SOCKETS}/squashfs")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_and_takes_the_socket_away(listening, number):
    listener = listening("squashfs", *SQUASHFUSE)
    assert listener.end(number).code == 0
    assert not os.path.exists(f"{SOCKETS}/squashfs")


# what is mounted outlives it


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_its_end_leaves_mounts_alone(mounted, mountpoint, tree, number):
    mounted.left += mounted.services()
    mounted.program.signal(number)
    mounted.program.process.wait(60)
    shows(mountpoint, tree)
    unmount(mountpoint)
    wait_for(lambda: not any(map(lives, mounted.left)), what="the server's end")


def test_a_later_one_gives_nobody_the_user_of_a_mount_that_lives(listening, mount, mountpoint, work):
    """Without chance each would get the same, did it not see that this one is taken."""
    without_chance = {"preexec_fn": without_system_call(GETRANDOM, errno.ENOSYS)}
    first = listening("squashfs", *SQUASHFUSE, **without_chance)
    succeeds(mount())
    server = first.the_server()
    first.end()
    later = listening("squashfs", *SQUASHFUSE, **without_chance)
    others = [work / f"other-{number}" for number in range(3)]
    for place in others:
        place.mkdir()
        succeeds(mount(mountpoint=place))
    assert len({os.stat(f"/proc/{pid}").st_uid for pid in [server, *later.services()]}) == 4
    for place in [mountpoint, *others]:
        unmount(place)


def test_a_terminal_that_is_interrupted_ends_no_mount(mounted, server):
    first, = mounted.services()
    assert os.getsid(first) == first
    assert os.getpgid(server) != os.getpgid(mounted.pid)


def test_a_server_does_not_end_by_speaking_when_nobody_listens_any_more(mounted, server):
    for pid in server, *mounted.services():
        assert int(status(pid)["SigIgn"], 16) == 1 << (signal.SIGPIPE - 1)


# words that make no sense


@pytest.mark.parametrize("words", [
    [], ["squashfs"], ["squashfs", "--"], ["--", "squashfuse"], ["a", "b", "--", "c"], ["--what", "a", "--", "b"],
    ["../a", "--", "b"], [".a", "--", "b"], ["--memory=0", "a", "--", "b"], ["--memory=1T", "a", "--", "b"],
    ["--memory=-1", "a", "--", "b"], ["--mounts=0", "a", "--", "b"], ["--mounts=many", "a", "--", "b"],
    ["--show=usr", "a", "--", "b"], ["--show=/", "a", "--", "b"], ["--show=/a/../b", "a", "--", "b"],
    ["--allow-missing=all", "a", "--", "b"], ["--file=/nowhere"], ["a" * 200, "--", "b"],
], ids=" ".join)
def test_wrong_words_are_refused(refused, words):
    assert refused(*words).splitlines()[-1].startswith("fsvc-listen: ")


@pytest.mark.parametrize("text, line", [("squashfs -- squashfuse\nbad\n", ":2: "), ("--bad a -- b", ":1: "),
                                        ("a -- b\0c\n", ":1: "), ("# none\n", "")])
def test_a_bad_line_of_a_file_is_named(refused, work, text, line):
    (work / "offers").write_text(text)
    assert f"{work}/offers{line}" in refused(f"--file={work}/offers")


def test_a_file_that_cannot_be_read_is_named(refused, work):
    assert f"{work}: {os.strerror(errno.EISDIR)}" in refused(f"--file={work}")


# what it survives


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
    wait_for(lambda: listener.said().count("no connection to a mount helper") == 100, 60, "the end of all services")
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
    assert f"squashfs[{first}]: killed by signal 9\n" in mounted.said()
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
    named = "journalctl" if os.path.exists("/run/systemd/system") else "what fsvc-listen says"
    assert named in failed.one_line()
    assert "squashfuse failed with exit code" in wait_for(listener.said, what="the service's words")


# what somebody sends, and nobody receives, is closed by whoever closes the connection or reads over it

LINGER = 60  # seconds
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


def pass_on(connection, descriptor):
    """Sends it away, if it can be sent. Whether it could."""
    try:
        socket.send_fds(connection, [b"."], [descriptor])
    except PermissionError:
        return False
    os.close(descriptor)
    return True


def still_starts_services(listener):
    before = set(listener.services())
    with connect():
        wait_for(lambda: set(listener.services()) - before, LINGER / 3, "another service")


def test_nobody_sends_a_descriptor_to_the_listener(listening):
    with slow_to_close() as slow:
        listener = listening("squashfs", *SQUASHFUSE)
        listener.program.signal(signal.SIGSTOP)
        with connect() as connection:
            assert pass_on(connection, slow) != passrights_is_known()
            listener.program.signal(signal.SIGCONT)
            wait_for(lambda: pass_on(connection, slow) or not passrights_is_known(), what="a service, which can be sent it")


def test_the_listener_waits_for_no_end_of_what_it_was_sent(listening):
    listener = listening("squashfs", "--mounts-of-user=1", *SQUASHFUSE, **WITHOUT_PASSRIGHTS)
    with slow_to_close() as slow:
        with connect():
            wait_for(listener.services, what="the service")
            listener.program.signal(signal.SIGSTOP)
            with connect() as connection:
                assert pass_on(connection, slow)
            listener.program.signal(signal.SIGCONT)
            wait_for(lambda: "refused user" in listener.said(), what="the refusal")
        wait_for(lambda: not listener.services(), LINGER / 3, "the end of the service")
        still_starts_services(listener)


@pytest.mark.parametrize("lacks", [{}, WITHOUT_PASSRIGHTS], ids=["", "SO_PASSRIGHTS"])
def test_the_listener_waits_for_no_end_of_what_a_server_says(listening, work, lacks):
    """Its user gives the server what it could not make itself."""
    program = work / "talker"
    program.write_text(TALKER)
    program.chmod(0o755)
    listener = listening("squashfs", "--service", "--", program, **lacks)
    with slow_to_close() as slow, connect() as connection:
        connection.settimeout(LINGER / 3)
        wait_for(lambda: listener.services() and pass_on(connection, slow), what="a service, which can be sent it")
        listener.program.signal(signal.SIGSTOP)
        connection.send(b".")
        assert connection.recv(1) == b"."
        listener.program.signal(signal.SIGCONT)
        wait_for(lambda: "spoken" in listener.said(), LINGER / 3, "the service's words")
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
    assert "there are 1 of 1" in listener.said()
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
    refusal = "refused user 65534 one more mount: there are 2 of 4096, and 2 of 2 for that user"
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
        wait_for(lambda: "refused user 100000 one more mount" in listener.said(), what="the refusal")
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
        wait_for(lambda: "failed with exit code" in listener.said() or "more are not shown" in listener.said(),
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
    assert "lines more are not shown" in said


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


# what the manual page says


def test_the_manual_page_has_each_piece_and_no_other(refused):
    pieces = refused("--allow-missing=all", "a", "--", "b").rpartition("The pieces are: ")[2].strip().split(", ")
    page = (REPOSITORY / "doc/fsvc-listen.8").read_text().partition(".SH PIECES")[2].partition(".SS")[0]
    assert re.findall(r"^\.TP\n\.BR (\w+) ", page, re.M) == pieces


def test_an_example_of_the_manual_page_is_a_file_that_is_understood(listening, work):
    page = (REPOSITORY / "doc/fsvc-listen.8").read_text()
    example = re.search(r"^(# TYPE .*?)^\.fi", page, re.M | re.S)[1].replace("\\-", "-")
    (work / "offers").write_text(re.sub(r"^-", "--allow-missing=cgroup -", example, flags=re.M))
    listener = listening(f"--file={work}/offers", types=["squashfs", "ext4", "ntfs"])
    assert listener.said() == ""
