# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-listen starts a contained service for each mount, without systemd, which outlives it."""

import errno
import fcntl
import os
import re
import signal
import socket
import stat
import struct
import time
from pathlib import Path

import pytest

from kit import mounts, utab
from kit.fake_service import SOCKETS
from kit.listener_fixtures import listening, mount, mounted, refused, server  # noqa: F401: fixtures
from kit.listener_fixtures import (CAP_SYS_RESOURCE, FSVC_LISTEN, GETRANDOM, NOT_EVERYWHERE, SQUASHFUSE, connect, hard_limits,
                           has_no_capability, lives, shows, status, succeeds, unmount)
from kit.build_options import REPOSITORY, SERVERS
from kit.waiting import wait_for
from kit.seccomp import without_system_call

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
    assert f" ATTRS=fsvc.server={first}:" in " ".join(utab.user_table())
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
    usual = Path("/proc/self/oom_score_adj").read_text()
    may_lower = int(status("self")["CapEff"], 16) >> CAP_SYS_RESOURCE & 1
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
            wait_for(lambda: "-> OFDLCK" in Path("/proc/locks").read_text() or os.path.exists(path), what="its turn")
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
    mounted.program.exit_code()
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
    lines = [line for line in refused(*words).splitlines() if not line.startswith("Try 'fsvc-listen --help'")]
    assert lines[-1].startswith("fsvc-listen: ")


@pytest.mark.parametrize("text, line", [("squashfs -- squashfuse\nbad\n", ":2: "), ("--bad a -- b", ":1: "),
                                        ("a -- b\0c\n", ":1: "), ("# none\n", "")])
def test_a_bad_line_of_a_file_is_named(refused, work, text, line):
    (work / "offers").write_text(text)
    assert f"{work}/offers{line}" in refused(f"--file={work}/offers")


def test_a_file_that_cannot_be_read_is_named(refused, work):
    assert f"{work}: cannot read: {os.strerror(errno.EISDIR)}" in refused(f"--file={work}")


# what the manual page says


def test_the_manual_page_has_each_piece_and_no_other(refused):
    pieces = re.search("valid arguments are (.*)", refused("--allow-missing=all", "a", "--", "b"))[1].split(", ")
    page = (REPOSITORY / "doc/fsvc-listen.8").read_text().partition(".SH SANDBOX LAYERS")[2].partition(".SS")[0]
    assert re.findall(r"^\.TP\n\.BR (\w+) ", page, re.M) == pieces


def test_an_example_of_the_manual_page_is_a_file_that_is_understood(listening, work):
    page = (REPOSITORY / "doc/fsvc-listen.8").read_text()
    example = re.search(r"^(# TYPE .*?)^\.(?:fi|EE)", page, re.M | re.S)[1].replace("\\-", "-")
    (work / "offers").write_text(re.sub(r"^-", "--allow-missing=cgroup -", example, flags=re.M))
    listener = listening(f"--file={work}/offers", types=["squashfs", "ext4", "ntfs"])
    assert listener.said() == ""
