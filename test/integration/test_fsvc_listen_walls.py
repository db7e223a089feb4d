# SPDX-License-Identifier: LGPL-2.1-or-later
"""The walls around what fsvc-listen starts, as the kernel tells of them, and what is done where one is missing."""

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
                           has_no_capability, seen_mounts, shows, status, succeeds, unmount)
from kit.processes import descriptors_of
from kit.programs import AS_NOBODY
from kit.waiting import wait_for
from kit.seccomp import without_system_call

NAMESPACES = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"]


def test_a_server_has_a_user_of_its_own(server):
    found = status(server)
    user, = set(found["Uid"].split() + found["Gid"].split())
    assert int(user) in USERS
    assert found["Groups"].strip() == ""


def test_each_mount_has_another_user(mounted, mount, work, server):
    place = work / "other"
    place.mkdir()
    succeeds(mount(mountpoint=place))
    assert len({os.stat(f"/proc/{pid}").st_uid for pid in mounted.services()}) == 2
    unmount(place)


def test_many_at_once_have_a_user_each(listening, run, work, image):
    listener = listening("squashfs", *SQUASHFUSE, preexec_fn=without_system_call(GETRANDOM, errno.ENOSYS))
    places = [work / f"at-once-{number}" for number in range(12)]
    for place in places:
        place.mkdir()
    helpers = [run(*HELPER, image, place, "-t", "squashfs") for place in places]
    for helper in helpers:
        succeeds(helper.wait())
    assert len({os.stat(f"/proc/{pid}").st_uid for pid in listener.services()}) == 12
    for place in places:
        unmount(place)


def test_a_server_has_no_privilege(mounted, server):
    for pid in server, *mounted.services():
        assert has_no_capability(pid)
        assert status(pid)["NoNewPrivs"] == "1"
        assert status(pid)["Seccomp"] == "2"
    assert int(status(server)["Seccomp_filters"]) == 2  # the sandbox's, and that of fsvc-open


@pytest.mark.parametrize("kind", NAMESPACES)
def test_a_server_has_a_namespace_of_its_own(server, kind):
    assert os.readlink(f"/proc/{server}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")


def test_a_server_sees_no_user_but_itself(server):
    user = str(os.stat(f"/proc/{server}").st_uid)
    for kind in "uid", "gid":
        assert Path(f"/proc/{server}/{kind}_map").read_text().split() == [user, user, "1"]
    assert Path(f"/proc/{server}/root/etc/passwd").read_text().splitlines() == [
        "root:x:0:0::/:/", f"fsvc{user}:x:{user}:{user}::/:/", "nobody:x:65534:65534::/:/"]


def test_a_server_sees_programs_and_nothing_else_of_the_disk(server):
    root = Path(f"/proc/{server}/root")
    assert {path.name for path in root.iterdir()} <= {"bin", "dev", "etc", "fsvc", "lib", "lib64", "proc", "run",
                                                      "sbin", "usr"}
    assert {path.name for path in (root / "etc").iterdir()} == {"ld.so.cache", "localtime", "passwd"}
    assert {path.name for path in (root / "dev").iterdir()} == {"null", "zero", "full", "random", "urandom", "fd"}
    assert [path.name for path in (root / "fsvc").iterdir()] == ["mountpoint"]
    assert not list((root / "fsvc/mountpoint").iterdir())


def test_a_server_writes_nowhere(server):
    found = seen_mounts(server)
    assert set(found) >= {"/", "/usr", "/proc"}
    for place, each in found.items():
        assert {"ro", "nosuid"} <= each.flags, place
        assert place == "/" or "nodev" in each.flags, place


def test_a_server_sees_nothing_in_proc_but_processes_of_its_own(server):
    proc = seen_mounts(server)["/proc"]
    assert {"subset=pid", "hidepid=invisible"} <= proc.options
    assert {path.name for path in Path(f"/proc/{server}/root/proc").iterdir()} >= {"self"}
    assert not Path(f"/proc/{server}/root/proc/sys").exists()


def test_a_server_has_limits(mounted, server):
    for pid in server, *mounted.services():
        found = hard_limits(pid)
        assert int(found["Max data size"]) == 1 << 30
        assert int(found["Max processes"]) == 256
        assert int(found["Max open files"]) == 1024
        for name in "Max core file size", "Max nice priority", "Max realtime priority":
            assert found[name] == "0"
        assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "500\n"
        assert status(pid)["Umask"] == "0077"


def test_limits_are_as_the_command_line_says(listening, mount, mountpoint):
    listener = listening("squashfs", "--memory=64M", "--processes=20", *SQUASHFUSE)
    succeeds(mount())
    found = hard_limits(listener.the_server())
    assert (found["Max data size"], found["Max processes"]) == (str(64 << 20), "20")
    unmount(mountpoint)


def test_a_server_has_no_descriptor_of_others(mounted, server):
    """What it has: nothing to read, a socket to speak by, the image, and the kernel.

    By a pipe it could have the listener wait for a page that an attacker's filesystem never brings.
    """
    links = {os.readlink(f"/proc/{server}/fd/{number}") for number in os.listdir(f"/proc/{server}/fd")}
    kinds = {link.partition(":")[0] if ":" in link else os.path.basename(link) for link in links}
    assert kinds <= {"null", "socket", "", "fuse"}  # the image is the root of a mount of its own


def test_a_descriptor_that_was_left_open_is_no_servers(listening, mount, mountpoint):
    """As shells leave them: by a directory, all that is below would be within reach."""
    left = os.open("/root", os.O_RDONLY | os.O_DIRECTORY)
    listener = listening("squashfs", *SQUASHFUSE, pass_fds=[left])
    os.close(left)
    succeeds(mount())
    for pid in listener.the_server(), *listener.services():
        assert "/root" not in descriptors_of(pid)
    unmount(mountpoint)


def test_a_server_can_be_told_to_end_though_its_starters_cannot(listening, mount, mountpoint):
    """As systemd has it, no signal is blocked from the start."""
    told = {signal.SIGTERM, signal.SIGHUP}
    listener = listening("squashfs", *SQUASHFUSE, preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, told))
    succeeds(mount())
    blocked = int(status(listener.the_server())["SigBlk"], 16)
    assert not [number for number in told if blocked >> (number - 1) & 1]
    unmount(mountpoint)


def test_a_server_has_nothing_of_its_starters(listening, mount, mountpoint, work):
    """Neither environment nor groups nor standard input."""
    (work / "input").write_text("secret")
    with open(work / "input") as stdin:
        listener = listening("squashfs", *SQUASHFUSE, env={**os.environ, "SECRET": "word"}, stdin=stdin,
                             preexec_fn=lambda: os.setgroups([4, 5]))
    succeeds(mount())
    server = listener.the_server()
    assert status(listener.pid)["Groups"].split() == ["4", "5"]
    assert status(server)["Groups"].split() == []
    assert b"SECRET" not in Path(f"/proc/{server}/environ").read_bytes()
    assert os.readlink(f"/proc/{server}/fd/0") == "/dev/null"
    unmount(mountpoint)


def test_a_program_elsewhere_is_shown_alone(listening, mount, work, mountpoint, image):
    """A server that is in no usual place, and the directory that it asks for."""
    (work / "secret").write_text("secret")
    (work / "shown").mkdir()
    (work / "shown" / "file").write_text("seen")
    spy = work / "spy"
    spy.write_text(f"#!/bin/sh\ncat {work}/shown/file >&2; cat {work}/secret >&2; exit 1\n")
    spy.chmod(0o755)
    listener = listening("squashfs", f"--show={work}/shown", "--", spy)
    assert mount().code == 1
    wait_for(lambda: "No such file" in listener.said(), what="the server's words")
    assert "]: seen" in listener.said() and f"cat: {work}/secret: No such file" in listener.said()


def test_where_the_root_cannot_be_exchanged_it_is_covered(listening, mount, mountpoint, work, image):
    """The first filesystem of a machine, which an initramfs is, is one that pivot_root(2) does not take."""
    place = work / "other"
    place.mkdir()
    with loop_devices.loop_device(image) as loop:
        mounts.mount(loop, place, "squashfs", mounts.RDONLY)
        listener = listening("squashfs", *SQUASHFUSE, preexec_fn=without_system_call(PIVOT_ROOT, errno.EINVAL))
        succeeds(mount())
        server = listener.the_server()
        assert set(seen_mounts(server)) == {"/", "/usr", "/proc", "/etc/ld.so.cache"}
        assert not Path(f"/proc/{server}/root/root").exists()
        assert status(server)["Seccomp_filters"] == "3"
        # nothing of the machine's is kept busy by it
        mounts.detach(place)
        os.close(os.open(loop, os.O_RDWR | os.O_EXCL))
        unmount(mountpoint)


def test_no_server_that_hangs_is_asked_when_the_root_is_covered(listening, run, mount, mountpoint, work, image):
    """What is mounted below what a user has mounted is taken away with it: nobody looks for it there."""
    theirs = work / "theirs"
    theirs.mkdir()
    users = run("squashfuse", "-f", "-o", "entry_timeout=0", image, theirs)
    wait_for(lambda: mounts.at(theirs), what="a user's own mount")
    try:
        with mounts.tmpfs(theirs / "sub"):
            listener = listening("squashfs", *SQUASHFUSE, preexec_fn=without_system_call(PIVOT_ROOT, errno.EINVAL))
            users.signal(signal.SIGSTOP)
            try:
                succeeds(mount())
            finally:
                users.signal(signal.SIGCONT)
            assert set(seen_mounts(listener.the_server())) == {"/", "/usr", "/proc", "/etc/ld.so.cache"}
            unmount(mountpoint)
    finally:
        mounts.detach(theirs)


# pieces that are missing


def test_root_alone_may_start_it(run):
    result = run(*AS_NOBODY, *FSVC_LISTEN, "squashfs", *SQUASHFUSE).wait()
    assert result.code == 1 and "root" in result.one_line()


def test_what_cannot_be_contained_is_not_started(refused):
    said = refused("squashfs", *SQUASHFUSE, preexec_fn=without_system_call(PIVOT_ROOT, errno.EPERM))
    line, = [line for line in said.splitlines() if "--allow-missing=root" in line]
    assert "a private root directory" in line and os.strerror(errno.EPERM) in line
    assert not os.path.exists(f"{SOCKETS}/squashfs")


def test_each_missing_piece_is_named(run):
    result = run("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", *FSVC_LISTEN, "squashfs",
                 *SQUASHFUSE).wait()
    assert result.code == 1
    for piece in "processes", "mounts", "network", "ipc", "names", "root", "proc":
        assert f"--allow-missing={piece} " in result.errors
    assert "--allow-missing=privileges " not in result.errors


def test_nothing_of_the_machine_is_changed_by_trying(run):
    before = sorted(map(str, mounts.mountinfo())), os.uname().nodename, os.readlink("/proc/self/ns/mnt")
    run("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", *FSVC_LISTEN, "squashfs", *SQUASHFUSE).wait()
    assert before == (sorted(map(str, mounts.mountinfo())), os.uname().nodename, os.readlink("/proc/self/ns/mnt"))


def test_what_may_be_missing_is_told_of_and_done_without(listening, mount, mountpoint):
    listener = listening("squashfs", *SQUASHFUSE, preexec_fn=without_system_call(LANDLOCK, errno.ENOSYS))
    line, = listener.said().splitlines()
    assert "warning: Landlock (Linux 5.13) is not available" in line and os.strerror(errno.ENOSYS) in line
    succeeds(mount())
    unmount(mountpoint)


@pytest.mark.parametrize("pieces, calls", [("names", [SETHOSTNAME]), ("root,landlock", [PIVOT_ROOT, LANDLOCK])],
                         ids=["names", "root"])  # fsvc-open looks for the second itself
def test_a_needed_piece_is_done_without_where_the_caller_says_so(listening, mount, mountpoint, tree, pieces, calls):
    lacks = [without_system_call(call, errno.EPERM) for call in calls]
    listener = listening(f"--allow-missing={pieces}", "squashfs", *SQUASHFUSE,
                         preexec_fn=lambda: [lack() for lack in lacks])
    assert listener.said() == ""
    succeeds(mount())
    shows(mountpoint, tree)
    assert has_no_capability(listener.the_server())
    unmount(mountpoint)


def test_a_piece_that_is_missing_later_stops_the_service(listening, mount):
    """What was there at the start has to be there for each service."""
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
