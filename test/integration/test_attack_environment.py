# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hostile caller of a set-user-ID helper prepares its environment: descriptors, variables, limits, signals, arguments."""

import contextlib
import os
import resource
import signal
import subprocess

import pytest

from kit import mounts, utab
from kit.fake_service import SOCKETS
from kit.processes import own_children, wait_for_orphans
from kit.programs import Program
from kit.attack_fixtures import MOUNT_FAILED, NO_APPLET
from kit.attack_fixtures import by_mount, home, record, refused, user  # noqa: F401: fixtures
from kit.unprivileged_user import USER
from kit.unprivileged_user import fuse_conf, set_user_id, user_unmounts  # noqa: F401: fixtures


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
        utab.forget(begun.place)


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
