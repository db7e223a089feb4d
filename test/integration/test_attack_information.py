# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hostile caller of a set-user-ID helper, or a hostile neighbour, tries to learn secrets or to pose as a service."""

import contextlib
import errno
import os
import pathlib
import re

import pytest

from kit import mounts, protocol, utab
from kit.fake_service import SOCKETS, Listener
from kit.programs import NOBODY
from kit.attack_fixtures import FAILED, MOUNT_FAILED, mine
from kit.attack_fixtures import by_mount, record, refused, user  # noqa: F401: fixtures
from kit.unprivileged_user import USER
from kit.unprivileged_user import fuse_conf, set_user_id, user_unmounts  # noqa: F401: fixtures


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
    table = "\n".join(utab.user_table())
    assert "x-shown" in table
    for text in table, pathlib.Path("/proc/self/mountinfo").read_text():
        assert not re.search(r"hidden|=4321\b|passphrase|fsvc\.(file|timeout)", text)
    begun.unmount()
