# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-listen starts a contained service for each mount, without systemd, and survives whatever one does."""

import contextlib
import errno
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

from kit import mounts
from kit.fake_service import HELPER, SOCKETS
from kit.listening import FSVC_LISTEN, USERS, Listening, connect, hard_limits, lives, seen_mounts, status
from kit.programs import AS_NOBODY, FSVC, REPOSITORY, SERVERS, wait_for, without_system_call

SQUASHFUSE = ["--", "squashfuse", "-f"]
NAMESPACES = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"]
PIVOT_ROOT, SETHOSTNAME, GETRANDOM, LANDLOCK = 155, 170, 318, 444  # of x86-64


@pytest.fixture
def listening(closing):
    """Starts a listener, which listens then."""
    return lambda *words, **options: closing(Listening(*words, **options))


@pytest.fixture
def refused(run):
    """Starts a listener that gives up: what it says."""

    def refused(*words, **options):
        result = run(*FSVC_LISTEN, *words, **options).wait()
        assert result.code == 1
        return result.errors

    return refused


@pytest.fixture
def mount(run, image, mountpoint):
    """Mounts as a person does; the helper's result."""

    def mount(*words, source=image, mountpoint=mountpoint, kind="squashfs"):
        return run(*HELPER, source, mountpoint, "-t", kind, *words).wait(40)

    return mount


@pytest.fixture
def mounted(listening, mount, mountpoint):
    """A listener and one mount of its."""
    listener = listening("squashfs", *SQUASHFUSE)
    succeeds(mount())
    yield listener
    if mounts.at(mountpoint):
        unmount(mountpoint)


@pytest.fixture
def server(mounted):
    """What parses the image."""
    return mounted.the_server()


def succeeds(result):
    assert (result.code, result.errors) == (0, "")


def unmount(mountpoint):
    subprocess.run([FSVC, "fsvc-umount", mountpoint], check=True, timeout=30)


def shows(mountpoint, tree):
    subprocess.run(["diff", "--recursive", "--no-dereference", tree, mountpoint], check=True, timeout=30)


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
    (work / "offers").write_text(f"# what there is\n\nsquashfs --allow-missing=cgroup --read-only --memory=512M -- squashfuse -f # no more\n"
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
    for pid in service, listener.the_server():
        assert Path(f"/proc/{pid}/cmdline").read_bytes()[:1] == b"@"
        assert status(pid)["Uid"].split() == ["0"] * 4
        assert has_no_capability(pid)
    unmount(mountpoint)


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
    mounted.program.process.wait(10)
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


# containment, as the kernel tells of it


def has_no_capability(pid):
    found = status(pid)
    return {found[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}


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
        succeeds(helper.wait(40))
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
    assert {path.name for path in root.iterdir()} <= {"bin", "dev", "etc", "fsvc", "lib", "lib64", "proc", "run", "sbin",
                                                      "usr"}
    assert {path.name for path in (root / "etc").iterdir()} == {"ld.so.cache", "localtime", "passwd"}
    assert {path.name for path in (root / "dev").iterdir()} == {"null", "zero", "full", "random", "urandom", "fd"}
    assert [path.name for path in (root / "fsvc").iterdir()] == ["mountpoint"]
    assert not list((root / "fsvc/mountpoint").iterdir())


def test_a_server_writes_nowhere(server):
    found = seen_mounts(server)
    assert set(found) >= {"/", "/usr", "/proc"}
    for place, mount in found.items():
        assert {"ro", "nosuid"} <= mount.flags, place
        assert place == "/" or "nodev" in mount.flags, place


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
        assert [found[name] for name in ("Max core file size", "Max nice priority", "Max realtime priority")] == ["0"] * 3
        assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "500\n"
        assert status(pid)["Umask"] == "0077"


def test_limits_are_as_the_command_line_says(listening, mount, mountpoint):
    listener = listening("squashfs", "--memory=64M", "--processes=20", *SQUASHFUSE)
    succeeds(mount())
    found = hard_limits(listener.the_server())
    assert (found["Max data size"], found["Max processes"]) == (str(64 << 20), "20")
    unmount(mountpoint)


def test_a_server_has_no_descriptor_of_others(mounted, server):
    """What it has: nothing to read, a pipe to speak by, the image, and the kernel."""
    links = {os.readlink(f"/proc/{server}/fd/{number}") for number in os.listdir(f"/proc/{server}/fd")}
    kinds = {link.partition(":")[0] if ":" in link else os.path.basename(link) for link in links}
    assert kinds <= {"null", "pipe", "", "fuse"}  # the image is the root of a mount of its own


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
    with mounts.loop_device(image) as loop:
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


# pieces that are missing


def test_root_alone_may_start_it(run):
    result = run(*AS_NOBODY, *FSVC_LISTEN, "squashfs", *SQUASHFUSE).wait()
    assert result.code == 1 and "root" in result.one_line()


def test_what_cannot_be_contained_is_not_started(refused):
    said = refused("squashfs", *SQUASHFUSE, preexec_fn=without_system_call(PIVOT_ROOT, errno.EPERM))
    line, = [line for line in said.splitlines() if "without root" in line]
    assert "--allow-missing=root" in line and os.strerror(errno.EPERM) in line
    assert not os.path.exists(f"{SOCKETS}/squashfs")


def test_each_missing_piece_is_named(run):
    result = run("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", *FSVC_LISTEN, "squashfs",
                 *SQUASHFUSE).wait()
    assert result.code == 1
    for piece in "processes", "mounts", "network", "ipc", "names", "root", "proc":
        assert f"without {piece}," in result.errors
    assert "without privileges," not in result.errors


def test_nothing_of_the_machine_is_changed_by_trying(run):
    before = sorted(map(str, mounts.mountinfo())), os.uname().nodename, os.readlink("/proc/self/ns/mnt")
    run("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", *FSVC_LISTEN, "squashfs", *SQUASHFUSE).wait()
    assert before == (sorted(map(str, mounts.mountinfo())), os.uname().nodename, os.readlink("/proc/self/ns/mnt"))


def test_what_may_be_missing_is_told_of_and_done_without(listening, mount, mountpoint):
    listener = listening("squashfs", *SQUASHFUSE, preexec_fn=without_system_call(LANDLOCK, errno.ENOSYS))
    line, = listener.said().splitlines()
    assert "warning: without landlock" in line and "5.13" in line
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
        wait_for(lambda: "not contained, and so not started: nobody" in listener.said(), what="the refusal")
    finally:
        os.rmdir(lock)
    assert listener.program.runs()


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


@pytest.mark.parametrize("text, line", [("squashfs -- squashfuse\nbad\n", ":2: "), ("--bad a -- b", ":1: "), ("# none\n", "")])
def test_a_bad_line_of_a_file_is_named(refused, work, text, line):
    (work / "offers").write_text(text)
    assert f"{work}/offers{line}" in refused(f"--file={work}/offers")


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


def test_a_mount_that_fails_has_the_log_named(listening, mount, source):
    listener = listening("squashfs", *SQUASHFUSE)
    failed = mount(source=source)
    assert failed.code == 1
    named = "journalctl" if os.path.exists("/run/systemd/system") else "what fsvc-listen says"
    assert named in failed.one_line()
    assert "squashfuse failed with exit code" in wait_for(listener.said, what="the service's words")


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


def test_one_user_does_not_take_all(listening, run):
    os.chmod(SOCKETS, 0o755)
    listener = listening("squashfs", "--mounts-of-user=2", *SQUASHFUSE)
    os.chmod(listener.sockets[0], 0o222)
    hold = ["/usr/bin/python3", "-c", f"""if True:
        import socket, sys, time
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect("{SOCKETS}/squashfs")
        time.sleep(20)"""]
    kept = []
    for count in 1, 2, 2:
        kept.append(run(*AS_NOBODY, *hold))
        wait_for(lambda: len(listener.services()) == count, what="the services")
    wait_for(lambda: "refused user 65534 one more mount: there are 2 of 4096, and 2 of 2 for" in listener.said(), what="the refusal")
    with connect():
        wait_for(lambda: len(listener.services()) == 3, what="another user's")


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
