# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attacks on a set-user-ID helper with its inherited environment: descriptors, variables, limits, signals, arguments."""

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
from kit.unprivileged_user import fuse_conf, set_user_id, user_umount  # noqa: F401: fixtures


# file descriptors

NULL_DEVICES = {"/dev/null", "/dev/full"}  # opened by the C library for closed standard descriptors of set-user-ID programs


def close_standard_descriptors():
    for fd in range(3):
        os.close(fd)


def test_helper_opens_null_devices_for_closed_standard_descriptors(start, user):
    session = start(preexec_fn=close_standard_descriptors, **user)
    session.handshake()
    session.prepare()
    assert {os.readlink(f"/proc/{session.helper.pid}/fd/{fd}") for fd in range(3)} <= NULL_DEVICES
    session.finish()
    session.unmount()


@pytest.mark.parametrize("how", [{}, {"preexec_fn": close_standard_descriptors}], ids=["open", "closed"])
@pytest.mark.parametrize("listening", [False, True], ids=["no socket", "unused socket"])
def test_server_inherits_only_standard_descriptors(by_mount, listen, source, mountpoint, how, listening):
    if listening:
        listen("recorder", mode=0o222).socket.close()
    _, seen = by_mount(f"recorder#{source}", mountpoint, **how)
    links = {number: link for number, link in seen["descriptors"].items() if not link.endswith("/recorder")}
    assert set(links) == {"0", "1", "2"}
    if how:
        assert set(links.values()) <= NULL_DEVICES
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{SOCKETS}/recorder")


# inherited attributes of the process


NAMES = ["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "LD_DEBUG_OUTPUT", "LIBMOUNT_FSTAB", "LIBMOUNT_MTAB",
         "LIBMOUNT_UTAB", "MALLOC_CHECK_", "MALLOC_PERTURB_", "MALLOC_TRACE", "GLIBC_TUNABLES", "PATH", "TMPDIR",
         "HOME", "_FUSE_COMMFD", "LISTEN_FDS", "GCONV_PATH", "LOCPATH", "NLSPATH", "LANG", "IFS", "SYSTEMD_LOG_TARGET"]
EXTRA_VARIABLES = {"LD_DEBUG_OUTPUT": {"LD_DEBUG": "all"}, "MALLOC_CHECK_": {"MALLOC_CHECK_": "3"},
       "LISTEN_FDS": {"LISTEN_PID": "1"}, "LIBMOUNT_FSTAB": {"LIBMOUNT_DEBUG": "all"}}


@pytest.mark.parametrize("name", NAMES)
def test_environment_variables_have_no_effect_on_helper(attempt, user, home, name):
    evil = home / "evil"
    evil.write_text("evil\n")
    session = attempt(env={name: str(evil)} | EXTRA_VARIABLES.get(name, {}), **user)
    session.mount()
    assert evil.read_text() == "evil\n" and os.listdir(home) == ["evil"]
    session.unmount()


def test_very_large_environment_has_no_effect_on_helper(attempt, user):
    session = attempt(env={f"A{number}": "x" * 100_000 for number in range(15)}, **user)
    session.mount()
    session.unmount()


LIMITS = [("NOFILE", limit) for limit in range(14)] + [
    ("FSIZE", 0), *(("AS", mega << 20) for mega in (1, 3, 4, 5, 6, 8, 16)), ("DATA", 0), ("DATA", 1 << 17),
    ("CPU", 0), ("NPROC", 0), ("STACK", 1 << 16), ("STACK", 1 << 13), ("MEMLOCK", 0), ("CORE", resource.RLIM_INFINITY), ("SIGPENDING", 0),
]


# The leak check of the address sanitizer needs another process, and its failure changes the exit status.
WITHOUT_LEAK_CHECK = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}


@pytest.mark.parametrize("name, limit", LIMITS, ids=str)
def test_mount_is_complete_or_absent_under_resource_limits(start, user, name, limit):
    number, others = getattr(resource, f"RLIMIT_{name}"), own_children()
    try:
        session = start(preexec_fn=lambda: resource.setrlimit(number, (limit, limit)), env=WITHOUT_LEAK_CHECK, **user)
    except (OSError, subprocess.SubprocessError):  # the limit prevents execve(2)
        return
    session.try_to_mount()
    code = session.helper.exit_code()
    assert len(mounts.at(session.absolute_mountpoint)) == (code == 0) or code == -signal.SIGKILL
    if mounts.at(session.absolute_mountpoint):  # also after a helper that was killed just after mounting
        session.unmount()
    if code < 0:  # the helper may be killed between the table entry and the mount: see utab.c
        wait_for_orphans(others)
        utab.forget(session.absolute_mountpoint)


def ignore_all():
    for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP, 32, 33}:
        signal.signal(number, signal.SIG_IGN)


def block_all():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


@pytest.mark.parametrize("prepare", [ignore_all, block_all])
def test_ignored_and_blocked_signals_have_no_effect_on_helper(start, user, prepare):
    session = start(preexec_fn=prepare, **user)
    session.handshake()
    session.mount()
    session.unmount()


@pytest.mark.parametrize("seconds", [0.0005, 0.001, 0.002, 0.005, 0.02])
def test_inherited_timer_leaves_mount_complete_or_absent(start, user, seconds):
    session = start(preexec_fn=lambda: signal.setitimer(signal.ITIMER_REAL, seconds), **user)
    session.try_to_mount()
    code = session.helper.exit_code()
    assert len(mounts.at(session.absolute_mountpoint)) == (code == 0)
    if code == 0:
        session.unmount()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGALRM, signal.SIGPIPE,
                                    signal.SIGHUP], ids=str)
def test_killed_helper_leaves_no_mount(attempt, user, number):
    session = attempt(**user)
    session.prepare()
    session.helper.signal(number)
    if number != signal.SIGPIPE:
        assert session.helper.exit_code() != 0
    session.helper.kill()
    assert not mounts.at(session.absolute_mountpoint)


def test_stopped_helper_continues_after_sigcont(attempt, user):
    session = attempt(**user)
    session.helper.signal(signal.SIGSTOP)
    session.helper.signal(signal.SIGCONT)
    session.mount()
    session.unmount()


# arguments


PROGRAM_NAMES = ["", "/", "//", ".", "..", "fsvc-../x", "fsvc", "fsvc/", "-", "--", "%n%n%s", "\x1b[2J", "x" * 100_000,
             "../" * 30_000, "mount.fuse.", "fuservicemount3/"]


@pytest.mark.parametrize("name", [None, *PROGRAM_NAMES], ids=lambda name: repr(name)[:20])
def test_unusual_argv0_is_refused(closing, set_user_id, name):
    arguments = [] if name is None else [name, "a", "b"]
    program = closing(Program(arguments, executable=set_user_id, **USER))
    result = program.wait()
    assert result.code in (1, NO_APPLET, MOUNT_FAILED)
    read = result.one_line if result.code == MOUNT_FAILED else result.usage_error
    assert len(result.errors) < 1000 and read()


LONG_ARGUMENTS = {"many": ["-a"] * 160_000, "long": ["-" + "b" * 131_070] * 13, "nonsense": ["a"] * 180_000,
        "options": ["-o", "c," * 60_000], "source": ["-o", "fsname=" + "d" * 131_000],
        "names": ["-o", "fsvc.file=" + "e" * 130_000], "numbers": ["-o", "fsvc.timeout=" + "9" * 130_000],
        "max_read": ["-o", "max_read=" + "9" * 130_000], "dashes": ["-" + "r" * 131_000],
        "types": ["-t", "f" * 131_000], "all options": ["-o", "c" * 60 + "," + "d," * 2000] * 100}


@pytest.mark.parametrize("arguments", LONG_ARGUMENTS.values(), ids=LONG_ARGUMENTS)
def test_very_many_or_long_arguments_do_not_crash_helper(start, user, arguments):
    session = start(*arguments, **user)
    session.try_to_mount()
    code = session.helper.wait().code
    assert code in (0, 1, 2) and len(mounts.at(session.absolute_mountpoint)) == (code == 0)
    if code == 0:
        session.unmount()
