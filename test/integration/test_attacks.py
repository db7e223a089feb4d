# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a malicious caller of a set-user-ID helper, and a malicious neighbour, try, and what becomes of it."""

import contextlib
import errno
import itertools
import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import time

import pytest

from kit import mounts, protocol
from kit.channel import HungUp
from kit.exit_status import FAILED, MOUNT_FAILED
from kit.fake_service import SOCKETS, Listener
from kit.programs import NOBODY, Program, own_children, wait_for_orphans
from kit.racer import racing
from kit.recorder import install_recorder
from kit.users import USER, fuse_conf, mount_of, set_user_id, user_unmounts  # noqa: F401, fixtures

TRIES = 2000
NO_APPLET = 127
NOT_YOURS = 1  # of fsvc-umount

RECORDER = """#!/usr/bin/python3 -I
import json, os
status = dict(line.rstrip("\\n").split(":\\t", 1) for line in open("/proc/self/status"))
links = {}
for number in os.listdir("/proc/self/fd"):
    try:
        links[number] = os.readlink("/proc/self/fd/" + number)
    except FileNotFoundError:
        pass
json.dump({"descriptors": links, **status}, open(RECORD, "w"))
"""


@pytest.fixture
def user(listen, set_user_id):
    """What makes an attempt one of the user, with no program between the user and the helper."""
    return {"command": [set_user_id], "listener": listen(mode=0o222), **USER}


@pytest.fixture
def refused(start, user):
    """Tries to mount something as the user, which fails in the one line that this gives, and changes no mount."""

    def refused(*words, commands=(), **how):
        before = mounts.mountinfo()
        begun = start(*words, **user | how)
        begun.try_to_mount(*commands)
        result = begun.helper.wait()
        assert result.code == FAILED and mounts.mountinfo() == before
        return result.one_line()

    return refused


@pytest.fixture
def record(work):
    """Where the program "recorder" writes what it finds itself to be."""
    return install_recorder(work, RECORDER)


@pytest.fixture
def by_mount(run, set_user_id, work, record):
    """mount.fuse3 in the user's hands: its result, and what a server that it has started recorded."""
    program = pathlib.Path(set_user_id).with_name("mount.fuse3")

    def by_mount(*words, **options):
        record.write_text("")
        result = run(program, *words, **USER, env={"PATH": f"{work}/bin:/usr/bin:/bin"}, **options).wait()
        return result, json.loads(record.read_text() or "null")

    return by_mount


# the rules of mounting


def mine(path, owner, mode):
    path.mkdir()
    os.chown(path, owner, owner)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("owner, mode", [(0, 0o755), (0, 0o775), (0, 0o1777), (1, 0o1777), (NOBODY, 0o555)], ids=str)
def test_a_user_mounts_on_no_directory_that_is_not_theirs_to_change(refused, work, owner, mode):
    assert "cannot mount on" in refused(mountpoint=mine(work / "place", owner, mode))


def test_a_user_mounts_on_their_own_sticky_directory(attempt, user, work):
    begun = attempt(mountpoint=mine(work / "place", NOBODY, 0o1777), **user)
    begun.mount()
    begun.unmount()


def test_a_user_mounts_on_no_file_that_they_may_only_read(refused, work):
    (work / "file").touch(0o644)
    assert "cannot mount on" in refused(mountpoint=work / "file")


@pytest.mark.parametrize("place", ["/proc", "/proc/PID", "/proc/PID/comm", "/proc/PID/attr/current", "/proc/PID/fd",
                                   "/proc/self/comm", "/proc/self/cwd", "/proc/self/exe", "/sys", "/sys/kernel"])
def test_a_user_mounts_on_nothing_that_the_kernel_shows(refused, run, place):
    sleeper = run("sleep", "60", **USER)
    assert "cannot mount on" in refused(mountpoint=place.replace("PID", str(sleeper.pid)))


def test_a_user_mounts_no_more_than_fuse_conf_allows(attempt, user, refused, fuse_conf, work):
    here = sum(mount.type.startswith("fuse") and mount.type != "fusectl" for mount in mounts.mountinfo())
    fuse_conf(f"mount_max = {here + 1}\n")
    begun = attempt(**user)
    begun.mount()
    assert "mount_max" in refused(mountpoint=mine(work / "other", NOBODY, 0o755))
    begun.unmount()


@pytest.mark.parametrize("option", ["allow_other", "allow_root"])
def test_a_user_lets_nobody_in_without_fuse_conf(refused, option):
    refused("-o", option, commands=[protocol.opts("allow_other")])


@pytest.mark.parametrize("words", [["-o", "suid,dev"], ["-o", "suid", "-o", "dev"],
                                   ["-o", "nosuid,suid,nodev,dev"]], ids=str)
@pytest.mark.parametrize("kind", ["fuse.toy", "fuseblk.toy"])
def test_a_user_gets_no_suid_no_dev_and_no_fuseblk(start, user, words, kind):
    begun = start(*words, kind=kind, **user)
    begun.try_to_mount()
    begun.helper.wait()
    for mount in mounts.at(begun.place):
        assert {"nosuid", "nodev"} <= mount.flags and mount.type == "fuse.toy"
        begun.unmount()


# swapping names


def try_once(user, source, mountpoint, cwd):
    """One run of the helper, the service being polite."""
    helper = subprocess.Popen([*user["command"], source, mountpoint, "-n", "-t", "fuse.toy"], cwd=cwd, **USER,
                              stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    listener = user["listener"]
    while not listener.waits(0.001) and helper.poll() is None:
        pass
    if listener.waits():
        service = listener.accept(0)
        with contextlib.suppress(HungUp):
            service.handshake()
            for command in protocol.name(source), protocol.mntp(mountpoint), protocol.doit():
                service.command(command)
            service.goodbye()
        helper.wait(60)
        service.close()
    return helper.wait(60)


def all_tries(user, source, mountpoint, tries, allowed, cwd="/"):
    """How many mounts there were, each of which was where it may be."""
    landed, before = 0, set(map(str, mounts.mountinfo()))
    for _ in range(tries):
        code = try_once(user, str(source), str(mountpoint), cwd)
        new = [mount for mount in mounts.mountinfo() if str(mount) not in before]
        assert (code == 0) == bool(new) and len(new) <= 1
        for mount in new:
            assert mount.mountpoint in map(str, allowed), f"mounted on {mount.mountpoint}"
            take_away(allowed)
        landed += len(new)
    return landed


def take_away(names):
    """Detaches the mount that is at one of the names, in this moment at either."""
    end = time.monotonic() + 5
    for name in itertools.cycle(names):
        assert time.monotonic() < end
        with contextlib.suppress(OSError):
            return mounts.detach(name)


@pytest.fixture
def home(work):
    return mine(work / "home", NOBODY, 0o755)


def test_a_mountpoint_that_is_swapped_for_a_symlink_is_never_followed(user, source, work, home):
    roots = mine(work / "roots", 0, 0o755)
    ours = mine(home / "mnt", NOBODY, 0o755)
    (home / "trap").symlink_to(roots)
    with racing(ours, home / "trap", **USER) as swaps:
        landed = all_tries(user, source, ours, TRIES, [ours, home / "trap"])
    print(f"{landed} of {TRIES} mounted, {swaps[0]} swaps")
    assert swaps[0] > TRIES and 0 < landed < TRIES


@pytest.mark.parametrize("spelled", ["parent/mnt", "mnt"], ids=["the parent", "the working directory"])
def test_a_parent_that_is_swapped_for_a_symlink_leads_to_nothing_of_roots(user, source, work, home, spelled):
    mine(work / "roots", 0, 0o755)
    mine(work / "roots" / "mnt", 0, 0o755)
    mine(home / "parent", NOBODY, 0o755)
    mine(home / "parent" / "mnt", NOBODY, 0o755)
    (home / "trap").symlink_to(work / "roots")
    with racing(home / "parent", home / "trap", **USER) as swaps:
        landed = all_tries(user, source, spelled, TRIES // 4, [home / "parent" / "mnt", home / "trap" / "mnt"],
                           cwd=home if "/" in spelled else home / "parent")
    print(f"{landed} mounted, {swaps[0]} swaps")
    assert swaps[0] > TRIES and 0 < landed < TRIES // 4


def test_a_mountpoint_that_is_moved_away_is_mounted_on_where_it_is(attempt, user, work, home, source):
    mine(home / "parent", NOBODY, 0o755)
    mine(home / "parent" / "mnt", NOBODY, 0o755)
    begun = attempt(mountpoint="mnt", cwd=home / "parent", **user)
    (home / "parent").rename(home / "moved")
    (home / "parent").symlink_to(mine(work / "roots", 0, 0o755))
    mine(work / "roots" / "mnt", 0, 0o755)
    begun.place = str(home / "moved" / "mnt")
    begun.mount()
    begun.unmount()


def test_a_source_that_is_swapped_for_a_symlink_never_shows_roots_bytes(attempt, user, source, work, home):
    secret = work / "secret"
    secret.write_text("root's own")
    secret.chmod(0o600)
    ours = source.rename(home / "image")
    (home / "trap").symlink_to(secret)
    outcome = {0: 0, errno.EACCES: 0}
    with racing(ours, home / "trap", **USER) as swaps:
        opened = 0
        while opened < TRIES:
            service = attempt(source=ours, **user).service
            with contextlib.suppress(HungUp):
                for _ in range(100):
                    found = service.open(ours)
                    opened += 1
                    outcome[found.error] += 1
                    if found.descriptor is not None:
                        assert os.pread(found.descriptor, 4, 0) == bytes(range(4))
                        service.drop(found.descriptor)
            service.hang_up()
    print(outcome, swaps)
    assert swaps[0] > TRIES and all(outcome.values())


# rights


@pytest.fixture
def vault(work):
    """A directory that root alone may enter, with something of everything."""
    path = work / "vault"
    path.mkdir(0o700)
    (path / "file").write_text("root's own")
    (path / "directory").mkdir()
    return path


@pytest.mark.parametrize("there", ["file", "directory"])
def test_a_user_cannot_tell_by_a_source_what_there_is(attempt, user, vault, there):
    told = []
    for name in there, "missing":
        begun = attempt(source=vault / name, **user)
        told.append(begun.service.open(vault / name).error)
        assert begun.service.file_command(protocol.open_command(vault / name)).error == errno.EACCES
        begun.service.goodbye(1)
        told.append(begun.helper.wait().errors.replace(there, "missing").replace(str(begun.helper.pid), "PID"))
    assert told[:2] == told[2:] and told[0] == errno.EACCES


def test_a_user_cannot_tell_by_another_file_what_there_is(attempt, user, vault):
    for name in "file", "missing":
        begun = attempt("-o", f"fsvc.file={vault / name},journal={vault / name}", **user)
        assert begun.service.open(vault / name).error == errno.EACCES
        assert begun.service.bdev(vault / name).error == errno.EACCES


@pytest.mark.parametrize("there", ["file", "directory"])
def test_a_user_cannot_tell_by_a_mountpoint_what_there_is(refused, vault, there):
    assert refused(mountpoint=vault / there).replace(there, "missing") == refused(mountpoint=vault / "missing")


@pytest.mark.parametrize("there", ["file", "directory"])
def test_a_user_cannot_tell_by_mount_fuse3_what_there_is(by_mount, source, vault, there):
    told = [by_mount(source, vault / name, "-t", "nothing-such", "-N", vault / name) for name in (there, "missing")]
    assert told[0][0].errors.replace(there, "missing") == told[1][0].errors
    assert told[0][0].code == told[1][0].code and not told[0][1]


@pytest.mark.parametrize("mode", [0o200, 0o220, 0])
def test_a_user_connects_to_no_socket_that_is_not_for_them(start, set_user_id, listen, mode):
    listener = listen(mode=mode)
    begun = start(command=[set_user_id], listener=listener, **USER)
    begun.fails()
    assert not listener.waits()


# descriptors

HARMLESS = {"/dev/null", "/dev/full"}  # the C library itself opens either in a set-user-ID program


def close_standard_descriptors():
    for fd in range(3):
        os.close(fd)


def test_closed_standard_descriptors_are_no_place_for_other_files(start, user):
    begun = start(preexec_fn=close_standard_descriptors, **user)
    begun.handshake()
    begun.prepare()
    assert {os.readlink(f"/proc/{begun.helper.pid}/fd/{fd}") for fd in range(3)} <= HARMLESS
    begun.finish()
    begun.unmount()


@pytest.mark.parametrize("how", [{}, {"preexec_fn": close_standard_descriptors}], ids=["open", "closed"])
@pytest.mark.parametrize("listening", [False, True], ids=["no service", "nobody listens"])
def test_a_server_inherits_no_descriptor(by_mount, listen, source, mountpoint, how, listening):
    if listening:
        listen("recorder", mode=0o222).socket.close()
    _, seen = by_mount(f"recorder#{source}", mountpoint, **how)
    links = {number: link for number, link in seen["descriptors"].items() if not link.endswith("/recorder")}
    assert set(links) == {"0", "1", "2"}
    if how:
        assert set(links.values()) <= HARMLESS
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{SOCKETS}/recorder")


# what is inherited


NAMES = ["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "LD_DEBUG_OUTPUT", "LIBMOUNT_FSTAB", "LIBMOUNT_MTAB",
         "LIBMOUNT_UTAB", "MALLOC_CHECK_", "MALLOC_PERTURB_", "MALLOC_TRACE", "GLIBC_TUNABLES", "PATH", "TMPDIR",
         "HOME", "_FUSE_COMMFD", "LISTEN_FDS", "GCONV_PATH", "LOCPATH", "NLSPATH", "LANG", "IFS", "SYSTEMD_LOG_TARGET"]
ODD = {"LD_DEBUG_OUTPUT": {"LD_DEBUG": "all"}, "MALLOC_CHECK_": {"MALLOC_CHECK_": "3"},
       "LISTEN_FDS": {"LISTEN_PID": "1"}, "LIBMOUNT_FSTAB": {"LIBMOUNT_DEBUG": "all"}}


@pytest.mark.parametrize("name", NAMES)
def test_the_environment_changes_nothing(attempt, user, home, name):
    evil = home / "evil"
    evil.write_text("evil\n")
    begun = attempt(env={name: str(evil)} | ODD.get(name, {}), **user)
    begun.mount()
    assert evil.read_text() == "evil\n" and os.listdir(home) == ["evil"]
    begun.unmount()


def test_a_very_large_environment_changes_nothing(attempt, user):
    begun = attempt(env={f"A{number}": "x" * 100_000 for number in range(15)}, **user)
    begun.mount()
    begun.unmount()


LIMITS = [("NOFILE", limit) for limit in range(14)] + [
    ("FSIZE", 0), *(("AS", mega << 20) for mega in (1, 3, 4, 5, 6, 8, 16)), ("DATA", 0), ("DATA", 1 << 17),
    ("CPU", 0), ("NPROC", 0), ("STACK", 1 << 16), ("STACK", 1 << 13), ("MEMLOCK", 0), ("CORE", resource.RLIM_INFINITY), ("SIGPENDING", 0),
]


# In a build with sanitizers the search for leaks is a process more, and its failing the exit code.
WITHOUT_LEAK_SEARCH = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}


@pytest.mark.parametrize("name, limit", LIMITS, ids=str)
def test_under_each_limit_a_mount_is_whole_or_not_there(start, user, name, limit):
    number, others = getattr(resource, f"RLIMIT_{name}"), own_children()
    try:
        begun = start(preexec_fn=lambda: resource.setrlimit(number, (limit, limit)), env=WITHOUT_LEAK_SEARCH, **user)
    except (OSError, subprocess.SubprocessError):  # not even the exec
        return
    begun.try_to_mount()
    code = begun.helper.exit_code()
    assert len(mounts.at(begun.place)) == (code == 0) or code == -signal.SIGKILL
    if mounts.at(begun.place):  # also of one that was killed right behind that
        begun.unmount()
    if code < 0:  # or between the table's entry and the mount: see mtab.c for what becomes of that
        wait_for_orphans(others)
        mounts.forget(begun.place)


def ignore_all():
    for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP, 32, 33}:
        signal.signal(number, signal.SIG_IGN)


def block_all():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


@pytest.mark.parametrize("prepare", [ignore_all, block_all])
def test_ignored_and_blocked_signals_change_nothing(start, user, prepare):
    begun = start(preexec_fn=prepare, **user)
    begun.handshake()
    begun.mount()
    begun.unmount()


@pytest.mark.parametrize("seconds", [0.0005, 0.001, 0.002, 0.005, 0.02])
def test_an_alarm_set_before_leaves_nothing_half_done(start, user, seconds):
    begun = start(preexec_fn=lambda: signal.setitimer(signal.ITIMER_REAL, seconds), **user)
    begun.try_to_mount()
    code = begun.helper.exit_code()
    assert len(mounts.at(begun.place)) == (code == 0)
    if code == 0:
        begun.unmount()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGALRM, signal.SIGPIPE,
                                    signal.SIGHUP], ids=str)
def test_a_helper_that_is_killed_leaves_nothing(attempt, user, number):
    begun = attempt(**user)
    begun.prepare()
    begun.helper.signal(number)
    if number != signal.SIGPIPE:
        assert begun.helper.exit_code() != 0
    begun.helper.kill()
    assert not mounts.at(begun.place)


def test_a_helper_that_is_stopped_goes_on(attempt, user):
    begun = attempt(**user)
    begun.helper.signal(signal.SIGSTOP)
    begun.helper.signal(signal.SIGCONT)
    begun.mount()
    begun.unmount()


# arguments


ODD_NAMES = ["", "/", "//", ".", "..", "fsvc-../x", "fsvc", "fsvc/", "-", "--", "%n%n%s", "\x1b[2J", "x" * 100_000,
             "../" * 30_000, "mount.fuse.", "fuservicemount3/"]


@pytest.mark.parametrize("name", [None, *ODD_NAMES], ids=lambda name: repr(name)[:20])
def test_an_odd_name_of_the_program_is_no_way_in(closing, set_user_id, name):
    words = [] if name is None else [name, "a", "b"]
    program = closing(Program(words, executable=set_user_id, **USER))
    result = program.wait()
    assert result.code in (1, NO_APPLET, MOUNT_FAILED)
    read = result.one_line if result.code == MOUNT_FAILED else result.usage_error
    assert len(result.errors) < 1000 and read()


MANY = {"many": ["-a"] * 160_000, "long": ["-" + "b" * 131_070] * 13, "nonsense": ["a"] * 180_000,
        "options": ["-o", "c," * 60_000], "source": ["-o", "fsname=" + "d" * 131_000],
        "names": ["-o", "fsvc.file=" + "e" * 130_000], "numbers": ["-o", "fsvc.timeout=" + "9" * 130_000],
        "max_read": ["-o", "max_read=" + "9" * 130_000], "dashes": ["-" + "r" * 131_000],
        "types": ["-t", "f" * 131_000], "all options": ["-o", "c" * 60 + "," + "d," * 2000] * 100}


@pytest.mark.parametrize("words", MANY.values(), ids=MANY)
def test_very_many_and_very_long_arguments_end_cleanly(start, user, words):
    begun = start(*words, **user)
    begun.try_to_mount()
    code = begun.helper.wait().code
    assert code in (0, 1, 2) and len(mounts.at(begun.place)) == (code == 0)
    if code == 0:
        begun.unmount()


# the process itself


SPY = """
import ctypes, os, sys
libc, pid, done = ctypes.CDLL(None, use_errno=True), int(sys.argv[1]), []
for request in 16, 0x4206:  # PTRACE_ATTACH, PTRACE_SEIZE
    if libc.ptrace(request, pid, None, None) == 0:
        done.append(f"ptrace {request:#x}")
for name in "mem", "environ", "maps", "auxv", "stack", "syscall", "fd/0", "cwd", "exe", "ns/mnt", "map_files", "io":
    try:
        os.open(f"/proc/{pid}/{name}", os.O_RDONLY)
        done.append(name)
    except OSError:
        pass
try:
    fd = os.pidfd_open(pid)
    done += [f"descriptor {number}" for number in range(20) if libc.syscall(438, fd, number, 0) >= 0]
except OSError:
    pass
print(done)
"""


@pytest.mark.parametrize("name", ["fuservicemount3", "mount.fuse3"])
def test_the_user_cannot_look_into_the_running_helper(attempt, user, run, set_user_id, name):
    begun = attempt(**user | {"command": [pathlib.Path(set_user_id).with_name(name)]})
    begun.prepare()
    spied = [run("/usr/bin/python3", "-I", "-c", SPY, pid, **USER).wait().output
             for pid in (begun.helper.pid, run("sleep", "60", **USER).pid)]
    assert spied[0] == "[]\n" and "mem" in spied[1]
    begun.finish()
    begun.unmount()


# mount.fuse3


def test_a_user_mounts_by_mount_fuse3_through_the_service(attempt, user, set_user_id):
    begun = attempt(**user | {"command": [pathlib.Path(set_user_id).with_name("mount.fuse3")]})
    assert begun.service.hello.flags == 0
    mount = begun.mount()
    assert {f"user_id={NOBODY}", f"group_id={NOBODY}"} <= mount.options and {"nosuid", "nodev"} <= mount.flags
    begun.unmount()


def test_a_server_without_a_service_is_the_callers_own(by_mount, source, mountpoint):
    seen = by_mount(f"recorder#{source}", mountpoint)[1]
    assert {seen[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert seen["Uid"].split() == seen["Gid"].split() == [str(NOBODY)] * 4
    assert seen["NoNewPrivs"] == "0"  # or its fusermount3 could not mount


@pytest.mark.parametrize("namespace", ["PID", "/proc/PID/ns/mnt", "/proc/self/ns/mnt", "1"])
def test_a_user_enters_no_namespace(by_mount, run, source, mountpoint, namespace):
    sleeper = run("sleep", "60", **USER)
    result, seen = by_mount(f"recorder#{source}", mountpoint, "-N", namespace.replace("PID", str(sleeper.pid)))
    assert result.code == 1 and not seen
    assert "cannot enter mount namespace" in result.one_line()


@pytest.mark.parametrize("namespace", ["PID", "/proc/PID/ns/mnt", "1"])
def test_a_user_unmounts_in_no_other_namespace(user_unmounts, run, mountpoint, namespace):
    with mount_of(NOBODY, mountpoint):
        sleeper = run("sleep", "60", **USER)
        failed = run(*user_unmounts, "-N", namespace.replace("PID", str(sleeper.pid)), mountpoint).wait()
        assert failed.code == 1 and "cannot enter mount namespace" in failed.one_line()
        assert len(mounts.at(mountpoint)) == 1


@pytest.mark.parametrize("option", ["setuid=root", "setuid=daemon", "drop_privileges"])
def test_a_user_starts_no_server_with_other_rights(by_mount, source, mountpoint, option):
    result, seen = by_mount(f"recorder#{source}", mountpoint, "-o", option)
    assert result.code == 1 and not seen and not mounts.at(mountpoint)
    assert option.split("=")[0] in result.one_line() or "root" in result.one_line() or "daemon" in result.one_line()


# only their own mounts


@pytest.mark.parametrize("how", [(), ("-l",), ("-f",)], ids=" ".join)
@pytest.mark.parametrize("owner", [0, 1, 6553, 655341])
def test_a_user_unmounts_nothing_of_anybody_else(user_unmounts, run, mountpoint, owner, how):
    with mount_of(owner, mountpoint):
        failed = run(*user_unmounts, *how, mountpoint).wait()
        assert failed.code == NOT_YOURS and "mounted by another user" in failed.one_line()
        assert len(mounts.at(mountpoint)) == 1


@pytest.mark.parametrize("how", [(), ("-l",), ("-f",), ("-lf",)], ids=" ".join)
def test_a_user_unmounts_nothing_that_is_on_top_of_theirs(user_unmounts, run, mountpoint, how):
    with mount_of(NOBODY, mountpoint):
        held = os.open(mountpoint, os.O_PATH)
        try:
            with mounts.tmpfs(mountpoint):
                failed = run(*user_unmounts, *how, f"/proc/self/fd/{held}", pass_fds=[held]).wait()
                assert failed.code == MOUNT_FAILED and failed.one_line()
                assert [mount.type for mount in mounts.at(mountpoint)] == ["fuse.toy", "tmpfs"]
        finally:
            os.close(held)


# the neighbour


@contextlib.contextmanager
def directory_is(owner, mode):
    with mounts.tmpfs(SOCKETS):
        with contextlib.closing(Listener("recorder", mode=0o222)) as listener:
            os.chown(SOCKETS, owner, owner)
            os.chmod(SOCKETS, mode)
            yield listener


@contextlib.contextmanager
def directory_is_a_symlink(work):
    elsewhere = mine(work / "elsewhere", 0, 0o755)
    with mounts.tmpfs("/run"):
        os.symlink(elsewhere, SOCKETS)
        with contextlib.closing(Listener("recorder", mode=0o222)) as listener:
            yield listener


@contextlib.contextmanager
def socket_is_a_users(work):
    with contextlib.closing(Listener("recorder", mode=0o222)) as listener:
        os.chown(listener.path, NOBODY, NOBODY)
        yield listener


@contextlib.contextmanager
def socket_is_a_symlink(work):
    with contextlib.closing(Listener("elsewhere", mode=0o222)) as listener:
        os.symlink(listener.path, f"{SOCKETS}/recorder")
        yield listener
        os.unlink(f"{SOCKETS}/recorder")


@contextlib.contextmanager
def socket_is_a_file(work):
    path = pathlib.Path(SOCKETS, "recorder")
    path.touch()
    path.chmod(0o666)
    yield None
    path.unlink()


POSES = {
    "a user's directory": lambda work: directory_is(NOBODY, 0o755),
    "everybody's directory": lambda work: directory_is(0, 0o777),
    "a group's directory": lambda work: directory_is(0, 0o775),
    "a sticky directory": lambda work: directory_is(0, 0o1777),
    "a symlink for the directory": directory_is_a_symlink, "a user's socket": socket_is_a_users,
    "a symlink for the socket": socket_is_a_symlink, "a file": socket_is_a_file,
}


@pytest.mark.parametrize("pose", POSES.values(), ids=POSES)
def test_a_neighbour_who_poses_as_a_service_gets_nobody(run, set_user_id, by_mount, work, source, mountpoint, pose):
    with pose(work) as listener:
        result = run(set_user_id, source, mountpoint, "-t", "recorder", **USER).wait()
        assert result.code == FAILED and result.one_line()
        result, seen = by_mount(source, mountpoint, "-t", "recorder")
        assert result.code == MOUNT_FAILED and result.one_line()
        assert not seen, "a server was started outside of a service"
        assert not (listener and listener.waits())


@pytest.mark.parametrize("word", ["passphrase=hidden", "fsvc.file=/hidden", "fsvc.timeout=4321", "fsvc.hidden"])
def test_the_mount_table_shows_nothing_that_was_not_public(attempt, user, word):
    begun = attempt("-o", f"x-shown,{word}", **user)
    begun.service.command(protocol.mtab(f"x-shown,{word}"))
    begun.mount()
    table = "\n".join(mounts.user_table())
    assert "x-shown" in table
    for text in table, pathlib.Path("/proc/self/mountinfo").read_text():
        assert not re.search(r"hidden|=4321\b|passphrase|fsvc\.(file|timeout)", text)
    begun.unmount()
