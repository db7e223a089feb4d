# SPDX-License-Identifier: LGPL-2.1-or-later
"""The layers of the sandbox of fsvc-listen, as /proc shows them, and missing layers."""

import errno
import os
import resource
import signal
from pathlib import Path

import pytest

from kit import loop_devices, mounts
from kit.fake_service import HELPER, SOCKETS
from kit.listener_fixtures import listening, mount, mounted, refused, server  # noqa: F401: fixtures
from kit.listener_fixtures import (FSVC_LISTEN, GETRANDOM, LANDLOCK, PIVOT_ROOT, SETHOSTNAME, SQUASHFUSE, USERS, hard_limits,
                           has_no_capability, seen_mounts, assert_same_tree, status, assert_success, unmount)
from kit.processes import descriptors_of
from kit.programs import AS_NOBODY
from kit.waiting import wait_for
from kit.seccomp import without_system_call

NAMESPACES = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"]


def test_service_has_its_own_user_and_group(server):
    found = status(server)
    user, = set(found["Uid"].split() + found["Gid"].split())
    assert int(user) in USERS
    assert found["Groups"].strip() == ""


def test_each_mount_has_another_user_id(mounted, mount, work, server):
    target = work / "other"
    target.mkdir()
    assert_success(mount(mountpoint=target))
    assert len({os.stat(f"/proc/{pid}").st_uid for pid in mounted.services()}) == 2
    unmount(target)


def test_concurrent_mounts_have_different_user_ids(listening, run, work, image):
    listener = listening("squashfs", *SQUASHFUSE, preexec_fn=without_system_call(GETRANDOM, errno.ENOSYS))
    targets = [work / f"at-once-{number}" for number in range(12)]
    for target in targets:
        target.mkdir()
    helpers = [run(*HELPER, image, target, "-t", "squashfs") for target in targets]
    for helper in helpers:
        assert_success(helper.wait())
    assert len({os.stat(f"/proc/{pid}").st_uid for pid in listener.services()}) == 12
    for target in targets:
        unmount(target)


def test_service_has_no_capabilities(mounted, server):
    for pid in server, *mounted.services():
        assert has_no_capability(pid)
        assert status(pid)["NoNewPrivs"] == "1"
        assert status(pid)["Seccomp"] == "2"
    assert int(status(server)["Seccomp_filters"]) == 2  # of the sandbox, and of fsvc-open


@pytest.mark.parametrize("kind", NAMESPACES)
def test_service_has_its_own_namespaces(server, kind):
    assert os.readlink(f"/proc/{server}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")


def test_service_sees_only_its_own_user_id(server):
    user = str(os.stat(f"/proc/{server}").st_uid)
    for kind in "uid", "gid":
        assert Path(f"/proc/{server}/{kind}_map").read_text().split() == [user, user, "1"]
    assert Path(f"/proc/{server}/root/etc/passwd").read_text().splitlines() == [
        "root:x:0:0::/:/", f"fsvc{user}:x:{user}:{user}::/:/", "nobody:x:65534:65534::/:/"]


def test_root_directory_of_service_contains_only_programs(server):
    root = Path(f"/proc/{server}/root")
    assert {path.name for path in root.iterdir()} <= {"bin", "dev", "etc", "fsvc", "lib", "lib64", "proc", "run",
                                                      "sbin", "usr"}
    assert {path.name for path in (root / "etc").iterdir()} == {"ld.so.cache", "localtime", "passwd"}
    assert {path.name for path in (root / "dev").iterdir()} == {"null", "zero", "full", "random", "urandom", "fd"}
    assert [path.name for path in (root / "fsvc").iterdir()] == ["mountpoint"]
    assert not list((root / "fsvc/mountpoint").iterdir())


def test_all_mounts_of_service_are_read_only(server):
    found = seen_mounts(server)
    assert set(found) >= {"/", "/usr", "/proc"}
    for path, each in found.items():
        assert {"ro", "nosuid"} <= each.flags, path
        assert path == "/" or "nodev" in each.flags, path


def test_proc_of_service_shows_only_its_own_processes(server):
    proc = seen_mounts(server)["/proc"]
    assert {"subset=pid", "hidepid=invisible"} <= proc.options
    assert {path.name for path in Path(f"/proc/{server}/root/proc").iterdir()} >= {"self"}
    assert not Path(f"/proc/{server}/root/proc/sys").exists()


def test_service_has_resource_limits(mounted, server):
    for pid in server, *mounted.services():
        found = hard_limits(pid)
        assert int(found["Max data size"]) == 1 << 30
        assert int(found["Max processes"]) == 256
        assert int(found["Max open files"]) == 1024
        for name in "Max core file size", "Max nice priority", "Max realtime priority":
            assert found[name] == "0"
        assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "500\n"
        assert status(pid)["Umask"] == "0077"


def test_resource_limits_follow_command_line(listening, mount, mountpoint):
    listener = listening("squashfs", "--memory=64M", "--processes=20", *SQUASHFUSE)
    assert_success(mount())
    found = hard_limits(listener.server_pid())
    assert (found["Max data size"], found["Max processes"]) == (str(64 << 20), "20")
    unmount(mountpoint)


def test_server_has_no_other_descriptors(mounted, server):
    """Standard input and output, the log socket, the image, and /dev/fuse.

    The log is a socket, as the listener could be blocked by a pipe that contains pages of the attacker's filesystem.
    """
    links = {os.readlink(f"/proc/{server}/fd/{number}") for number in os.listdir(f"/proc/{server}/fd")}
    kinds = {link.partition(":")[0] if ":" in link else os.path.basename(link) for link in links}
    assert kinds <= {"null", "socket", "", "fuse"}  # the image is the root of its own mount


def test_descriptors_inherited_by_listener_are_closed(listening, mount, mountpoint):
    """Shells may leave descriptors open. One of a directory would give access to all files below it."""
    left = os.open("/root", os.O_RDONLY | os.O_DIRECTORY)
    listener = listening("squashfs", *SQUASHFUSE, pass_fds=[left])
    os.close(left)
    assert_success(mount())
    for pid in listener.server_pid(), *listener.services():
        assert "/root" not in descriptors_of(pid)
    unmount(mountpoint)


def test_blocked_signals_of_caller_are_unblocked_in_server(listening, mount, mountpoint):
    """systemd also starts services without blocked signals."""
    numbers = {signal.SIGTERM, signal.SIGHUP}
    listener = listening("squashfs", *SQUASHFUSE, preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, numbers))
    assert_success(mount())
    blocked = int(status(listener.server_pid())["SigBlk"], 16)
    assert not [number for number in numbers if blocked >> (number - 1) & 1]
    unmount(mountpoint)


def test_environment_groups_and_stdin_of_listener_are_not_inherited(listening, mount, mountpoint, work):
    """"""
    (work / "input").write_text("secret")
    with open(work / "input") as stdin:
        listener = listening("squashfs", *SQUASHFUSE, env={**os.environ, "SECRET": "word"}, stdin=stdin,
                             preexec_fn=lambda: os.setgroups([4, 5]))
    assert_success(mount())
    server = listener.server_pid()
    assert status(listener.pid)["Groups"].split() == ["4", "5"]
    assert status(server)["Groups"].split() == []
    assert b"SECRET" not in Path(f"/proc/{server}/environ").read_bytes()
    assert os.readlink(f"/proc/{server}/fd/0") == "/dev/null"
    unmount(mountpoint)


def test_server_outside_usr_and_shown_directories_are_in_sandbox(listening, mount, work, mountpoint, image):
    """Only the program of the server and the directory of --show can be read."""
    (work / "secret").write_text("secret")
    (work / "shown").mkdir()
    (work / "shown" / "file").write_text("seen")
    server_program = work / "server_program"
    server_program.write_text(f"#!/bin/sh\ncat {work}/shown/file >&2; cat {work}/secret >&2; exit 1\n")
    server_program.chmod(0o755)
    listener = listening("squashfs", f"--show={work}/shown", "--", server_program)
    assert mount().code == 1
    wait_for(lambda: "No such file" in listener.said(), what="the output of the server")
    assert "]: seen" in listener.said() and f"cat: {work}/secret: No such file" in listener.said()


def test_root_is_covered_if_pivot_root_fails(listening, mount, mountpoint, work, image):
    """pivot_root(2) does not work in an initramfs."""
    target = work / "other"
    target.mkdir()
    with loop_devices.loop_device(image) as loop:
        mounts.mount(loop, target, "squashfs", mounts.RDONLY)
        listener = listening("squashfs", *SQUASHFUSE, preexec_fn=without_system_call(PIVOT_ROOT, errno.EINVAL))
        assert_success(mount())
        server = listener.server_pid()
        assert set(seen_mounts(server)) == {"/", "/usr", "/proc", "/etc/ld.so.cache"}
        assert not Path(f"/proc/{server}/root/root").exists()
        assert status(server)["Seccomp_filters"] == "3"
        # the sandbox keeps no mount of the machine busy
        mounts.detach(target)
        os.close(os.open(loop, os.O_RDWR | os.O_EXCL))
        unmount(mountpoint)


def test_hanging_server_does_not_block_sandbox_without_pivot_root(listening, run, mount, mountpoint, work, image):
    """Mounts below the mount of a user are detached together with it, without a lookup."""
    user_mount = work / "user_mount"
    user_mount.mkdir()
    user_server = run("squashfuse", "-f", "-o", "entry_timeout=0", image, user_mount)
    wait_for(lambda: mounts.at(user_mount), what="a user's own mount")
    try:
        with mounts.tmpfs(user_mount / "sub"):
            listener = listening("squashfs", *SQUASHFUSE, preexec_fn=without_system_call(PIVOT_ROOT, errno.EINVAL))
            user_server.signal(signal.SIGSTOP)
            try:
                assert_success(mount())
            finally:
                user_server.signal(signal.SIGCONT)
            assert set(seen_mounts(listener.server_pid())) == {"/", "/usr", "/proc", "/etc/ld.so.cache"}
            unmount(mountpoint)
    finally:
        mounts.detach(user_mount)


# missing layers


def test_only_root_can_start_fsvc_listen(run):
    result = run(*AS_NOBODY, *FSVC_LISTEN, "squashfs", *SQUASHFUSE).wait()
    assert result.code == 1 and "root" in result.one_line()


def test_listener_does_not_start_if_required_layer_is_missing(refused):
    said = refused("squashfs", *SQUASHFUSE, preexec_fn=without_system_call(PIVOT_ROOT, errno.EPERM))
    line, = [line for line in said.splitlines() if "--allow-missing=root" in line]
    assert "a private root directory" in line and os.strerror(errno.EPERM) in line
    assert not os.path.exists(f"{SOCKETS}/squashfs")


def test_all_missing_layers_are_named(run):
    result = run("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", *FSVC_LISTEN, "squashfs",
                 *SQUASHFUSE).wait()
    assert result.code == 1
    for layer in "processes", "mounts", "network", "ipc", "names", "root", "proc":
        assert f"--allow-missing={layer} " in result.errors
    assert "--allow-missing=privileges " not in result.errors


def test_check_of_layers_has_no_side_effects(run):
    before = sorted(map(str, mounts.mountinfo())), os.uname().nodename, os.readlink("/proc/self/ns/mnt")
    run("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", *FSVC_LISTEN, "squashfs", *SQUASHFUSE).wait()
    assert before == (sorted(map(str, mounts.mountinfo())), os.uname().nodename, os.readlink("/proc/self/ns/mnt"))


def test_missing_optional_layer_gives_warning(listening, mount, mountpoint):
    listener = listening("squashfs", *SQUASHFUSE, preexec_fn=without_system_call(LANDLOCK, errno.ENOSYS))
    line, = listener.said().splitlines()
    assert "warning: Landlock (Linux 5.13) is not available" in line and os.strerror(errno.ENOSYS) in line
    assert_success(mount())
    unmount(mountpoint)


@pytest.mark.parametrize("layers, calls", [("names", [SETHOSTNAME]), ("root,landlock", [PIVOT_ROOT, LANDLOCK])],
                         ids=["names", "root"])  # the program fsvc-open tests layer root itself
def test_allowed_missing_layers_are_not_reported(listening, mount, mountpoint, tree, layers, calls):
    lacks = [without_system_call(call, errno.EPERM) for call in calls]
    listener = listening(f"--allow-missing={layers}", "squashfs", *SQUASHFUSE,
                         preexec_fn=lambda: [lack() for lack in lacks])
    assert listener.said() == ""
    assert_success(mount())
    assert_same_tree(mountpoint, tree)
    assert has_no_capability(listener.server_pid())
    unmount(mountpoint)


def test_layer_that_is_missing_later_stops_only_that_service(listening, mount):
    """A layer that was available at the start must be available for each service."""
    listener = listening("squashfs", *SQUASHFUSE)
    resource.prlimit(listener.pid, resource.RLIMIT_NOFILE, (64, 64))
    lock = f"{SOCKETS}/.lock"
    os.unlink(lock)
    os.mkdir(lock)
    try:
        assert mount().code == 1
        wait_for(lambda: "sandbox layer 'nobody' failed" in listener.said(), what="the refusal")
    finally:
        os.rmdir(lock)
    assert listener.program.runs()
