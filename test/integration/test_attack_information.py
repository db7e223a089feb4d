# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attacks on a set-user-ID helper by its caller or by other users: information leaks and untrusted sockets."""

import contextlib
import errno
import os
import pathlib
import re

import pytest

from kit import mounts, protocol, utab
from kit.fake_service import SOCKETS, Listener
from kit.programs import NOBODY
from kit.attack_fixtures import FAILED, MOUNT_FAILED, make_directory
from kit.attack_fixtures import by_mount, record, refused, user  # noqa: F401: fixtures
from kit.unprivileged_user import USER
from kit.unprivileged_user import fuse_conf, set_user_id, user_umount  # noqa: F401: fixtures


# permissions


@pytest.fixture
def vault(work):
    """A directory that only root can enter, with a file and a directory in it."""
    path = work / "vault"
    path.mkdir(0o700)
    (path / "file").write_text("secret")
    (path / "directory").mkdir()
    return path


@pytest.mark.parametrize("existing", ["file", "directory"])
def test_source_in_inaccessible_directory_fails_as_if_it_were_missing(attempt, user, vault, existing):
    results = []
    for name in existing, "missing":
        session = attempt(source=vault / name, **user)
        results.append(session.service.open(vault / name).error)
        assert session.service.file_command(protocol.open_command(vault / name)).error == errno.EACCES
        session.service.goodbye(1)
        results.append(session.helper.wait().errors.replace(existing, "missing").replace(str(session.helper.pid), "PID"))
    assert results[:2] == results[2:] and results[0] == errno.EACCES


def test_granted_files_in_inaccessible_directory_fail_as_if_they_were_missing(attempt, user, vault):
    for name in "file", "missing":
        session = attempt("-o", f"fsvc.file={vault / name},journal={vault / name}", **user)
        assert session.service.open(vault / name).error == errno.EACCES
        assert session.service.bdev(vault / name).error == errno.EACCES


@pytest.mark.parametrize("existing", ["file", "directory"])
def test_mountpoint_in_inaccessible_directory_fails_as_if_it_were_missing(refused, vault, existing):
    assert refused(mountpoint=vault / existing).replace(existing, "missing") == refused(mountpoint=vault / "missing")


@pytest.mark.parametrize("existing", ["file", "directory"])
def test_paths_of_mount_fuse3_in_inaccessible_directory_fail_as_if_they_were_missing(by_mount, source, vault, existing):
    results = [by_mount(source, vault / name, "-t", "nothing-such", "-N", vault / name) for name in (existing, "missing")]
    assert results[0][0].errors.replace(existing, "missing") == results[1][0].errors
    assert results[0][0].code == results[1][0].code and not results[0][1]


@pytest.mark.parametrize("mode", [0o200, 0o220, 0])
def test_user_cannot_connect_to_socket_without_write_permission(start, set_user_id, listen, mode):
    listener = listen(mode=mode)
    session = start(command=[set_user_id], listener=listener, **USER)
    session.assert_fails()
    assert not listener.waits()


# access to the helper process


SPY_PROGRAM = """
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
def test_user_cannot_inspect_running_helper(attempt, user, run, set_user_id, name):
    session = attempt(**user | {"command": [pathlib.Path(set_user_id).with_name(name)]})
    session.prepare()
    spied = [run("/usr/bin/python3", "-I", "-c", SPY_PROGRAM, pid, **USER).wait().output
             for pid in (session.helper.pid, run("sleep", "60", **USER).pid)]
    assert spied[0] == "[]\n" and "mem" in spied[1]
    session.finish()
    session.unmount()


# sockets of other users


@contextlib.contextmanager
def directory_has(owner, mode):
    with mounts.tmpfs(SOCKETS):
        with contextlib.closing(Listener("recorder", mode=0o222)) as listener:
            os.chown(SOCKETS, owner, owner)
            os.chmod(SOCKETS, mode)
            yield listener


@contextlib.contextmanager
def symlink_for_directory(work):
    elsewhere = make_directory(work / "elsewhere", 0, 0o755)
    with mounts.tmpfs("/run"):
        os.symlink(elsewhere, SOCKETS)
        with contextlib.closing(Listener("recorder", mode=0o222)) as listener:
            yield listener


@contextlib.contextmanager
def socket_of_user(work):
    with contextlib.closing(Listener("recorder", mode=0o222)) as listener:
        os.chown(listener.path, NOBODY, NOBODY)
        yield listener


@contextlib.contextmanager
def symlink_for_socket(work):
    with contextlib.closing(Listener("elsewhere", mode=0o222)) as listener:
        os.symlink(listener.path, f"{SOCKETS}/recorder")
        yield listener
        os.unlink(f"{SOCKETS}/recorder")


@contextlib.contextmanager
def file_for_socket(work):
    path = pathlib.Path(SOCKETS, "recorder")
    path.touch()
    path.chmod(0o666)
    yield None
    path.unlink()


UNTRUSTED_SOCKETS = {
    "directory of a user": lambda work: directory_has(NOBODY, 0o755),
    "world-writable directory": lambda work: directory_has(0, 0o777),
    "group-writable directory": lambda work: directory_has(0, 0o775),
    "sticky directory": lambda work: directory_has(0, 0o1777),
    "symlink for the directory": symlink_for_directory, "socket of a user": socket_of_user,
    "symlink for the socket": symlink_for_socket, "file for the socket": file_for_socket,
}


@pytest.mark.parametrize("untrusted", UNTRUSTED_SOCKETS.values(), ids=UNTRUSTED_SOCKETS)
def test_untrusted_socket_or_socket_directory_is_not_used(run, set_user_id, by_mount, work, source, mountpoint, untrusted):
    with untrusted(work) as listener:
        result = run(set_user_id, source, mountpoint, "-t", "recorder", **USER).wait()
        assert result.code == FAILED and result.one_line()
        result, seen = by_mount(source, mountpoint, "-t", "recorder")
        assert result.code == MOUNT_FAILED and result.one_line()
        assert not seen, "a server was started without the service"
        assert not (listener and listener.waits())


@pytest.mark.parametrize("word", ["passphrase=hidden", "fsvc.file=/hidden", "fsvc.timeout=4321", "fsvc.hidden"])
def test_mount_table_contains_only_public_options(attempt, user, word):
    session = attempt("-o", f"x-shown,{word}", **user)
    session.service.command(protocol.mtab(f"x-shown,{word}"))
    session.mount()
    table = "\n".join(utab.user_table())
    assert "x-shown" in table
    for text in table, pathlib.Path("/proc/self/mountinfo").read_text():
        assert not re.search(r"hidden|=4321\b|passphrase|fsvc\.(file|timeout)", text)
    session.unmount()
