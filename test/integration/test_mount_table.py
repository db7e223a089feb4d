# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mount table /run/mount/utab: compatible with util-linux, and protected from other users."""

import contextlib
import fcntl
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from kit import mounts, protocol, utab
from kit.build_options import FSVC
from kit.processes import process_tree, forked, own_children, wait_for_orphans
from kit.programs import NOBODY
from kit.waiting import wait_for
from kit.unprivileged_user import USER, as_user, fuse_conf, set_user_id  # noqa: F401, fixtures

TABLE, LOCK, EVENT = (Path(f"/run/mount/utab{end}") for end in ("", ".lock", ".event"))
OTHER_ENTRIES = "SRC=server:/a\\040b TARGET=/net ROOT=/ OPTS=user=alice\nSRC=x TARGET=/net ROOT=/ OPTS=_netdev\n"
LONG_NAME = "/".join(["long" * 40] * 3)
NAMES = [LONG_NAME, "a b", "com,ma", "back\\slash", "ha#sh", "\u00e4\u00f6\u20ac", "\\040", "tab\there", 'quo"te', "=",
         "a TARGET=/etc ATTRS=fsvc.server=1:1 OPTS=x"]
IN_CLOSE_WRITE, IN_CLOSE_NOWRITE = 0x8, 0x10


@pytest.fixture
def others():
    """Entries of other programs, which must not be changed."""
    TABLE.write_text(OTHER_ENTRIES)
    yield OTHER_ENTRIES
    assert TABLE.read_text() == OTHER_ENTRIES
    TABLE.unlink()


@pytest.fixture
def prepare_with_note(attempt):
    """Prepare a mount whose entry contains a user-defined option."""

    def prepare_with_note(option, **details):
        session = attempt("-o", option, **details)
        assert session.service.command(protocol.mtab(option)) == 0
        session.prepare()
        return session

    return prepare_with_note


def options_of(path):
    """Return the options that findmnt(8) shows. Without a path as argument, it does not access the mountpoint."""
    done = subprocess.run(["findmnt", "--mtab", "--raw", "--noheadings", "--output", "TARGET,OPTIONS"], check=True,
                          capture_output=True, timeout=10)
    shown, = [line.split(b" ")[1] for line in done.stdout.splitlines() if unescape_raw(line.split(b" ")[0]) == os.fsencode(path)]
    return shown.decode().split(",")


def unescape_raw(field):
    """Decode the output format of findmnt --raw."""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()), field)


@pytest.mark.parametrize("name", NAMES)
def test_findmnt_shows_special_characters_in_paths(prepare_with_note, others, work, name):
    target, source = work / name, work / f"{name}.img"
    target.mkdir(parents=True)
    source.touch()
    session = prepare_with_note("x-note", mountpoint=target, source=source)
    session.finish()
    assert "x-note" in options_of(target)
    assert len(utab.entries_of(target)) == 1
    session.unmount()
    assert utab.entries_of(target) == []


def test_mount_is_found_by_long_source(prepare_with_note, work):
    source = work / LONG_NAME
    source.parent.mkdir(parents=True)
    source.touch()
    session = prepare_with_note("x-note", source=source)
    session.finish()
    subprocess.run([FSVC, "fsvc-umount", "-t0", source], check=True)
    assert mounts.at(session.mountpoint) == [] and utab.entries_of(session.mountpoint) == []


@pytest.mark.parametrize("name", NAMES[-1:])
def test_path_that_contains_entry_is_escaped(attempt, others, run, work, name):
    target, source = work / name, work / f"{name}.img"
    target.mkdir(parents=True)
    source.touch()
    session = attempt(mountpoint=target, source=source)
    session.prepare()
    with forked(lambda: session.service.send(protocol.byee(0))) as server:
        assert session.helper.wait().code == 0
        failed = run(FSVC, "fsvc-umount", "-t", "1", target).wait()
    assert f"server ({server}) has not written" in failed.one_line()


def test_last_entry_of_mountpoint_is_removed(prepare_with_note, mountpoint):
    lower = f"SRC=/other TARGET={mountpoint} ROOT=/ OPTS=x-lower\n"
    TABLE.write_text(lower)
    prepare_with_note("x-upper").finish()
    assert [entry["OPTS"] for entry in utab.entries_of(mountpoint)] == ["x-lower", "x-upper"]
    subprocess.run([FSVC, "fsvc-umount", "-t0", mountpoint], check=True)
    assert TABLE.read_text() == lower
    TABLE.unlink()


@contextlib.contextmanager
def locked():
    LOCK.touch(0o644)
    with open(LOCK) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def kill_while_writing(session):
    """Kill the helper while it waits for the lock of the table, unless it exits by itself."""
    others = set(own_children()) - {session.helper.pid}
    with locked():
        session.service.goodbye()
        wait_for(lambda: len(process_tree(session.helper.pid)) > 1 or not session.helper.runs(), what="the writer")
        session.helper.signal(signal.SIGKILL)
        session.helper.exit_code()
    wait_for_orphans(others)


@pytest.fixture
def mountpoint_in_other_namespace(run):
    """A mountpoint of the user in another mount namespace, where its path is /mnt/net."""
    holder = run("unshare", "-Urm", "sh", "-c",
                 "mount -t tmpfs x /mnt && mkdir -p /mnt/net && echo ready && sleep 60", **USER)
    wait_for(lambda: holder.output()[0])
    return f"/proc/{holder.pid}/root/mnt/net"


def test_mountpoint_in_other_namespace_adds_no_entry(prepare_with_note, as_user, others, mountpoint_in_other_namespace):
    kill_while_writing(prepare_with_note("x-note", mountpoint=mountpoint_in_other_namespace, **as_user))


def test_error_of_mount_is_reported_before_error_of_table(prepare_with_note, as_user, others, mountpoint_in_other_namespace):
    session = prepare_with_note("x-note", mountpoint=mountpoint_in_other_namespace, **as_user)
    session.service.goodbye()
    assert "cannot attach the mount" in session.assert_fails().one_line()


def test_hidden_mountpoint_adds_no_entry(prepare_with_note, as_user, others, work):
    cover = work / "cover"
    cover.mkdir()
    with mounts.tmpfs(cover):
        (cover / "net").mkdir()
        os.chown(cover / "net", NOBODY, NOBODY)
        session = prepare_with_note("x-note", mountpoint=cover / "net", **as_user)
    kill_while_writing(session)


# Some versions of libmount split at escaped commas. A quote can hide the options after it.
@pytest.mark.parametrize("option", ["helper=evil", "uhelper=evil", "user=root", r"x-a\,uhelper=evil", r"x-a\054user=root",
                                  r"x-a\\\,user=root", 'x-a"', 'x-a="b', "x-a\\\\"])
def test_user_cannot_set_options_for_umount(prepare_with_note, as_user, others, option):
    session = prepare_with_note(option, **as_user)
    session.finish()
    entry, = utab.entries_of(session.mountpoint)
    assert entry["OPTS"].split(",")[:2] == ["user=nobody", "uhelper=fuse"]
    session.unmount()


def test_stale_entries_of_killed_helpers_are_removed(prepare_with_note, as_user, others, work):
    lower = prepare_with_note("x-lower", **as_user)
    lower.finish()
    kept = utab.user_table()
    with TABLE.open("a") as table:
        for number in range(16000):
            table.write(f"SRC=x TARGET=/gone/{number} ROOT=/ ATTRS=fsvc.server=1:1 OPTS=user=nobody,uhelper=fuse\n")
    upper = prepare_with_note("x-upper", mountpoint=make_directory(work / "upper"), **as_user)
    upper.finish()
    *rest, own = utab.user_table()
    assert rest == kept and "x-upper" in own
    for session in lower, upper:
        session.unmount()


def make_directory(path):
    path.mkdir()
    os.chown(path, NOBODY, NOBODY)
    return path


def test_utab_entry_of_a_user_is_limited_to_one_page(prepare_with_note, as_user, others):
    option = f"x-{5000 * '#'}"
    session = prepare_with_note(option, **as_user)
    session.service.goodbye()
    result = session.helper.wait()
    assert result.code == 0 and "not recorded in the mount table: Argument list too long" in result.errors
    assert utab.entries_of(session.mountpoint) == []
    session.unmount()


def lock_is_held():
    with open(LOCK) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def hold_lock():
    os.setresuid(NOBODY, NOBODY, NOBODY)
    fcntl.flock(os.open(LOCK, os.O_RDONLY), fcntl.LOCK_EX)


def test_lock_held_by_user_does_not_prevent_mounts(prepare_with_note, others):
    LOCK.touch(0o644)
    session = prepare_with_note("x-note")
    with forked(hold_lock):
        wait_for(lock_is_held, what="the lock")
        session.service.goodbye()
        result = session.helper.wait()
    assert result.code == 0 and "x-note not recorded in the mount table: locked by another process" in result.one_line()
    assert utab.entries_of(session.mountpoint) == [] and len(mounts.at(session.mountpoint)) == 1
    session.unmount()


def test_message_if_server_cannot_be_recorded(attempt, others):
    session = attempt()
    session.prepare()
    with locked():
        session.service.goodbye()
        result = session.helper.wait()
    assert result.code == 0 and "fsvc-umount will not wait for the server" in result.one_line()
    session.unmount()


@pytest.mark.parametrize("watched, event", [(LOCK, IN_CLOSE_NOWRITE), (EVENT, IN_CLOSE_WRITE)], ids=["before 2.39", "since 2.39"])
def test_programs_that_watch_utab_are_notified(attempt, others, watched, event):
    watched.touch()
    watch = mounts.LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        assert mounts.LIBC.inotify_add_watch(watch, os.fsencode(watched), event) > 0
        session = attempt()
        session.mount()
        assert os.read(watch, 4096)
        session.unmount()
    finally:
        os.close(watch)
        watched.unlink()
