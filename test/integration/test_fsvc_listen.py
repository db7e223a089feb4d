# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-listen starts a contained service for each mount, without systemd."""

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
from kit.listener_fixtures import (CAP_SYS_RESOURCE, FSVC_LISTEN, GETRANDOM, CGROUP_OPTIONAL, SQUASHFUSE, connect, hard_limits,
                           has_no_capability, is_running, assert_same_tree, status, assert_success, unmount)
from kit.build_options import REPOSITORY, SERVERS
from kit.waiting import wait_for
from kit.seccomp import without_system_call

F_OFD_SETLK = 37

# mounting


def test_all_files_of_image_are_in_mount(mounted, mountpoint, tree):
    assert_same_tree(mountpoint, tree)
    assert {"nosuid", "nodev"} <= mounts.single_mount_at(mountpoint).flags


def test_service_exits_after_unmount(mounted, mountpoint):
    unmount(mountpoint)
    wait_for(lambda: not mounted.services(), what="the end of the service")


def test_service_with_libfsvc_can_be_mounted(listening, mount, source, mountpoint):
    listener = listening("single", "--service", "--", SERVERS / "single_file_ll", types=["single"])
    assert_success(mount(source=source, kind="single"))
    assert (mountpoint / "single_file").read_bytes() == source.read_bytes()
    assert status(listener.services()[0])["NSpid"].split()[1:] == ["1"]
    unmount(mountpoint)


def test_written_data_reaches_source(listening, mount, source, mountpoint):
    listening("single", "--service", "--", SERVERS / "single_file_hl", types=["single"])
    assert_success(mount(source=source, kind="single"))
    with open(mountpoint / "single_file", "r+b") as file:
        file.seek(5000)
        file.write(b"written")
    unmount(mountpoint)
    assert source.read_bytes()[4999:5008] == bytes([4999 % 256]) + b"written" + bytes([5007 % 256])


def test_umount_waits_until_server_has_written_data(listening, mount, source, mountpoint):
    listener = listening("slow", "--", SERVERS / "slow_flush", "{source}", "{mountpoint}", "-f", types=["slow"])
    assert_success(mount(source=source, kind="slow"))
    first, = listener.services()
    assert f" ATTRS=fsvc.server={first}:" in " ".join(utab.user_table())
    with open(mountpoint / "data", "r+b") as file:
        file.write(b"late")
    started = time.monotonic()
    unmount(mountpoint)
    assert time.monotonic() - started > 3
    assert source.read_bytes()[:4] == b"late"


def test_configuration_file_can_define_several_types(listening, mount, mountpoint, source, work, tree):
    (work / "services").write_text("# comment\n\n"
                                 "squashfs --allow-missing=cgroup --read-only --memory=512M -- squashfuse -f # more\n"
                                 f"\t--allow-missing=cgroup --service single -- {SERVERS}/single_file_ll\n")
    listener = listening(f"--file={work}/services", types=["squashfs", "single"])
    assert_success(mount())
    assert_same_tree(mountpoint, tree)
    assert int(hard_limits(listener.server_pid())["Max data size"]) == 512 << 20
    unmount(mountpoint)
    assert_success(mount(source=source, kind="single"))
    unmount(mountpoint)


def test_root_filesystem_service_survives_shutdown_and_oom(listening, mount, mountpoint):
    """systemd does not kill processes of root whose argv[0] begins with "@"."""
    listener = listening("squashfs", "--root-filesystem", *SQUASHFUSE)
    assert_success(mount())
    service, = listener.services()
    unchanged = Path("/proc/self/oom_score_adj").read_text()
    can_lower_score = int(status("self")["CapEff"], 16) >> CAP_SYS_RESOURCE & 1
    for pid in service, listener.server_pid():
        assert Path(f"/proc/{pid}/oom_score_adj").read_text() == ("-900\n" if can_lower_score else unchanged)
        assert Path(f"/proc/{pid}/cmdline").read_bytes()[:1] == b"@"
        assert status(pid)["Uid"].split() == ["0"] * 4
        assert has_no_capability(pid)
    unmount(mountpoint)


def test_root_filesystem_service_has_fsvc_in_argv0(listening, mount, mountpoint, source):
    """The shutdown waits for servers that write data back: "@" alone is used by other programs, too."""
    for arguments in SQUASHFUSE, ["--service", "--", SERVERS / "single_file_ll"]:
        kind = "single" if "--service" in arguments else "squashfs"
        listener = listening(kind, "--root-filesystem", *arguments, types=[kind])
        assert_success(mount(kind=kind, **({"source": source} if kind == "single" else {})))
        service, = listener.services()
        assert Path(f"/proc/{service}/cmdline").read_bytes().startswith(b"@/fsvc-")
        unmount(mountpoint)
        listener.end()


def test_descriptors_in_flight_of_root_do_not_stop_root_filesystem_service(listening, mount, mountpoint):
    """The kernel limits the number of sent and not yet received file descriptors of each user."""
    local, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with local, remote, open("/dev/null") as null:
        for _ in range(10):
            socket.send_fds(local, [b"."], [null.fileno()] * 200)
        listening("squashfs", "--root-filesystem", *SQUASHFUSE)
        assert_success(mount())
    unmount(mountpoint)


# the socket


def test_socket_has_trusted_owner_and_mode(listening):
    os.umask(0)
    listener = listening("squashfs", *SQUASHFUSE)
    found = os.stat(listener.sockets[0])
    assert (stat.S_IFMT(found.st_mode), stat.S_IMODE(found.st_mode)) == (stat.S_IFSOCK, 0o220)
    assert (found.st_uid, found.st_gid) == (0, 0)
    os.umask(0o022)


def test_missing_socket_directory_is_created(listening):
    mounts.detach(SOCKETS)
    try:
        with mounts.tmpfs("/run"):
            listening("squashfs", *SQUASHFUSE).end()
            found = os.stat(SOCKETS)
            assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o755, 0)
    finally:
        mounts.mount("fsvc-test", SOCKETS, "tmpfs", mounts.NOSUID | mounts.NODEV, "mode=0755")


def test_world_writable_socket_directory_is_refused(refused):
    os.chmod(SOCKETS, 0o777)
    try:
        assert "not trusted" in refused("squashfs", *SQUASHFUSE)
    finally:
        os.chmod(SOCKETS, 0o755)


def test_read_only_socket_directory_is_named_in_error(refused, work):
    """The error message does not suggest --allow-missing."""
    mounts.mount(None, SOCKETS, None, mounts.REMOUNT | mounts.BIND | mounts.NOSUID | mounts.NODEV | mounts.RDONLY)
    try:
        said = refused("squashfs", *SQUASHFUSE)
        assert SOCKETS in said and os.strerror(errno.EROFS) in said and "allow-missing" not in said
    finally:
        mounts.mount(None, SOCKETS, None, mounts.REMOUNT | mounts.BIND | mounts.NOSUID | mounts.NODEV)


def test_stale_socket_is_replaced(listening, mount, mountpoint):
    listening("squashfs", *SQUASHFUSE).program.kill()
    assert os.path.exists(f"{SOCKETS}/squashfs")
    listening("squashfs", *SQUASHFUSE)
    wait_for(lambda: not mount("--check").code, what="a service")
    assert_success(mount())
    unmount(mountpoint)


def test_socket_in_use_is_not_replaced(listening, refused):
    listening("squashfs", *SQUASHFUSE)
    assert os.strerror(errno.EADDRINUSE) in refused("squashfs", *SQUASHFUSE)
    connect().close()


def test_concurrent_listeners_do_not_replace_each_others_socket(run):
    """Without a lock, both would replace a stale socket, and one of them would lose its socket."""
    path = f"{SOCKETS}/squashfs"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
        with open(f"{SOCKETS}/.lock", "w") as lock:
            fcntl.fcntl(lock, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))
            second = run(*FSVC_LISTEN, CGROUP_OPTIONAL, "squashfs", *SQUASHFUSE)
            wait_for(lambda: "-> OFDLCK" in Path("/proc/locks").read_text() or os.path.exists(path), what="the lock")
            other.bind(path)
            other.listen()
        result = second.wait()
    assert result.code == 1 and os.strerror(errno.EADDRINUSE) in result.one_line()
    os.unlink(path)
    os.unlink(f"{SOCKETS}/.lock")


def test_file_that_is_not_a_socket_is_not_replaced(refused):
    Path(f"{SOCKETS}/squashfs").touch()
    try:
        assert "squashfs" in refused("squashfs", *SQUASHFUSE)
        assert os.path.exists(f"{SOCKETS}/squashfs")
    finally:
        os.unlink(f"{SOCKETS}/squashfs")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_ends_listener_and_removes_socket(listening, number):
    listener = listening("squashfs", *SQUASHFUSE)
    assert listener.end(number).code == 0
    assert not os.path.exists(f"{SOCKETS}/squashfs")


# mounts outlive the listener


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_end_of_listener_leaves_mounts(mounted, mountpoint, tree, number):
    mounted.left += mounted.services()
    mounted.program.signal(number)
    mounted.program.exit_code()
    assert_same_tree(mountpoint, tree)
    unmount(mountpoint)
    wait_for(lambda: not any(map(is_running, mounted.left)), what="the end of the server")


def test_user_id_of_live_mount_is_not_reused_by_later_listener(listening, mount, mountpoint, work):
    """Without random numbers, all listeners try the same user IDs in the same order."""
    without_random = {"preexec_fn": without_system_call(GETRANDOM, errno.ENOSYS)}
    first = listening("squashfs", *SQUASHFUSE, **without_random)
    assert_success(mount())
    server = first.server_pid()
    first.end()
    later = listening("squashfs", *SQUASHFUSE, **without_random)
    others = [work / f"other-{number}" for number in range(3)]
    for target in others:
        target.mkdir()
        assert_success(mount(mountpoint=target))
    assert len({os.stat(f"/proc/{pid}").st_uid for pid in [server, *later.services()]}) == 4
    for target in [mountpoint, *others]:
        unmount(target)


def test_service_is_in_other_session_than_listener(mounted, server):
    first, = mounted.services()
    assert os.getsid(first) == first
    assert os.getpgid(server) != os.getpgid(mounted.pid)


def test_sigpipe_is_ignored_by_server(mounted, server):
    for pid in server, *mounted.services():
        assert int(status(pid)["SigIgn"], 16) == 1 << (signal.SIGPIPE - 1)


# invalid arguments


@pytest.mark.parametrize("arguments", [
    [], ["squashfs"], ["squashfs", "--"], ["--", "squashfuse"], ["a", "b", "--", "c"], ["--what", "a", "--", "b"],
    ["../a", "--", "b"], [".a", "--", "b"], ["--memory=0", "a", "--", "b"], ["--memory=1T", "a", "--", "b"],
    ["--memory=-1", "a", "--", "b"], ["--mounts=0", "a", "--", "b"], ["--mounts=many", "a", "--", "b"],
    ["--show=usr", "a", "--", "b"], ["--show=/", "a", "--", "b"], ["--show=/a/../b", "a", "--", "b"],
    ["--allow-missing=all", "a", "--", "b"], ["--file=/nowhere"], ["a" * 200, "--", "b"],
], ids=" ".join)
def test_invalid_arguments_are_refused(refused, arguments):
    lines = [line for line in refused(*arguments).splitlines() if not line.startswith("Try 'fsvc-listen --help'")]
    assert lines[-1].startswith("fsvc-listen: ")


@pytest.mark.parametrize("text, line", [("squashfs -- squashfuse\nbad\n", ":2: "), ("--bad a -- b", ":1: "),
                                        ("a -- b\0c\n", ":1: "), ("# none\n", "")])
def test_invalid_line_of_file_is_named_in_error(refused, work, text, line):
    (work / "services").write_text(text)
    assert f"{work}/services{line}" in refused(f"--file={work}/services")


def test_unreadable_file_is_named_in_error(refused, work):
    assert f"{work}: cannot read: {os.strerror(errno.EISDIR)}" in refused(f"--file={work}")


# the manual page


def test_manual_page_lists_all_layers(refused):
    pieces = re.search("valid arguments are (.*)", refused("--allow-missing=all", "a", "--", "b"))[1].split(", ")
    page = (REPOSITORY / "doc/fsvc-listen.8").read_text().partition(".SH SANDBOX LAYERS")[2].partition(".SS")[0]
    assert re.findall(r"^\.TP\n\.BR (\w+) ", page, re.M) == pieces


def test_example_file_of_manual_page_is_valid(listening, work):
    page = (REPOSITORY / "doc/fsvc-listen.8").read_text()
    example = re.search(r"^(# TYPE .*?)^\.(?:fi|EE)", page, re.M | re.S)[1].replace("\\-", "-")
    (work / "services").write_text(re.sub(r"^-", "--allow-missing=cgroup -", example, flags=re.M))
    listener = listening(f"--file={work}/services", types=["squashfs", "ext4", "ntfs"])
    assert listener.said() == ""
