# SPDX-License-Identifier: LGPL-2.1-or-later
"""User space's mount table: util-linux reads what we write, we read what it writes, and nobody gets in between."""

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
from kit.processes import family, forked, own_children, wait_for_orphans
from kit.programs import NOBODY
from kit.waiting import wait_for
from kit.unprivileged_user import USER, as_user, fuse_conf, set_user_id  # noqa: F401, fixtures

TABLE, LOCK, EVENT = (Path(f"/run/mount/utab{end}") for end in ("", ".lock", ".event"))
OTHERS = "SRC=server:/a\\040b TARGET=/net ROOT=/ OPTS=user=somebody\nSRC=x TARGET=/net ROOT=/ OPTS=_netdev\n"
LONG = "/".join(["long" * 40] * 3)
NAMES = [LONG, "a b", "com,ma", "back\\slash", "ha#sh", "\u00e4\u00f6\u20ac", "\\040", "tab\there", 'quo"te', "=",
         "a TARGET=/etc ATTRS=fsvc.server=1:1 OPTS=x"]
IN_CLOSE_WRITE, IN_CLOSE_NOWRITE = 0x8, 0x10


@pytest.fixture
def others():
    """Entries of other programs, which stay byte for byte as they are."""
    TABLE.write_text(OTHERS)
    yield OTHERS
    assert TABLE.read_text() == OTHERS
    TABLE.unlink()


@pytest.fixture
def noted(attempt):
    """A mount that is about to be there, with a note in the table."""

    def noted(note, **details):
        begun = attempt("-o", note, **details)
        assert begun.service.command(protocol.mtab(note)) == 0
        begun.prepare()
        return begun

    return noted


def options_of(place):
    """What findmnt(8), and so libmount, knows of a place; asked for one alone it would look there, where nobody serves."""
    done = subprocess.run(["findmnt", "--mtab", "--raw", "--noheadings", "--output", "TARGET,OPTIONS"], check=True,
                          capture_output=True, timeout=10)
    shown, = [line.split(b" ")[1] for line in done.stdout.splitlines() if plain(line.split(b" ")[0]) == os.fsencode(place)]
    return shown.decode().split(",")


def plain(field):
    """What findmnt --raw writes as a number, by itself."""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()), field)


@pytest.mark.parametrize("name", NAMES)
def test_util_linux_reads_each_name(noted, others, work, name):
    place, source = work / name, work / f"{name}.img"
    place.mkdir(parents=True)
    source.touch()
    begun = noted("x-note", mountpoint=place, source=source)
    begun.finish()
    assert "x-note" in options_of(place)
    assert len(utab.entries_of(place)) == 1
    begun.unmount()
    assert utab.entries_of(place) == []


def test_a_long_source_stands_for_its_mount(noted, work):
    source = work / LONG
    source.parent.mkdir(parents=True)
    source.touch()
    begun = noted("x-note", source=source)
    begun.finish()
    subprocess.run([FSVC, "fsvc-umount", "-t0", source], check=True)
    assert mounts.at(begun.mountpoint) == [] and utab.entries_of(begun.mountpoint) == []


@pytest.mark.parametrize("name", NAMES[-1:])
def test_a_name_that_looks_like_an_entry_is_a_name(attempt, others, run, work, name):
    place, source = work / name, work / f"{name}.img"
    place.mkdir(parents=True)
    source.touch()
    begun = attempt(mountpoint=place, source=source)
    begun.prepare()
    with forked(lambda: begun.service.send(protocol.byee(0))) as server:
        assert begun.helper.wait().code == 0
        failed = run(FSVC, "fsvc-umount", "-t", "1", place).wait()
    assert f"server ({server}) has not written" in failed.one_line()


def test_of_two_entries_of_one_place_the_last_is_taken_away(noted, mountpoint):
    lower = f"SRC=/other TARGET={mountpoint} ROOT=/ OPTS=x-lower\n"
    TABLE.write_text(lower)
    noted("x-upper").finish()
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


def end_in_the_middle(begun):
    """Kills the helper where the table is about to be written and nothing is mounted, unless it leaves by itself."""
    others = set(own_children()) - {begun.helper.pid}
    with locked():
        begun.service.goodbye()
        wait_for(lambda: len(family(begun.helper.pid)) > 1 or not begun.helper.runs(), what="the process that writes")
        begun.helper.signal(signal.SIGKILL)
        begun.helper.exit_code()
    wait_for_orphans(others)


@pytest.fixture
def elsewhere(run):
    """A place of the user's in another namespace, which is called /mnt/net there."""
    inside = run("unshare", "-Urm", "sh", "-c",
                 "mount -t tmpfs x /mnt && mkdir -p /mnt/net && echo there && sleep 60", **USER)
    wait_for(lambda: inside.output()[0])
    return f"/proc/{inside.pid}/root/mnt/net"


def test_a_place_in_another_namespace_is_no_name_of_ours(noted, as_user, others, elsewhere):
    end_in_the_middle(noted("x-note", mountpoint=elsewhere, **as_user))


def test_what_fails_is_named_before_what_is_not_recorded(noted, as_user, others, elsewhere):
    begun = noted("x-note", mountpoint=elsewhere, **as_user)
    begun.service.goodbye()
    assert "cannot attach the mount" in begun.fails().one_line()


def test_a_place_that_is_out_of_sight_is_no_name_of_ours(noted, as_user, others, work):
    cover = work / "cover"
    cover.mkdir()
    with mounts.tmpfs(cover):
        (cover / "net").mkdir()
        os.chown(cover / "net", NOBODY, NOBODY)
        begun = noted("x-note", mountpoint=cover / "net", **as_user)
    end_in_the_middle(begun)


# Behind a comma, whatever is before it, some of libmount's releases read another option; a quote hides what follows.
@pytest.mark.parametrize("word", ["helper=evil", "uhelper=evil", "user=root", r"x-a\,uhelper=evil", r"x-a\054user=root",
                                  r"x-a\\\,user=root", 'x-a"', 'x-a="b', "x-a\\\\"])
def test_a_user_does_not_say_how_umount_goes_about_it(noted, as_user, others, word):
    begun = noted(word, **as_user)
    begun.finish()
    entry, = utab.entries_of(begun.mountpoint)
    assert entry["OPTS"].split(",")[:2] == ["user=nobody", "uhelper=fuse"]
    begun.unmount()


def test_what_killed_helpers_left_does_not_pile_up(noted, as_user, others, work):
    lower = noted("x-lower", **as_user)
    lower.finish()
    kept = utab.user_table()
    with TABLE.open("a") as table:
        for number in range(16000):
            table.write(f"SRC=x TARGET=/gone/{number} ROOT=/ ATTRS=fsvc.server=1:1 OPTS=user=nobody,uhelper=fuse\n")
    upper = noted("x-upper", mountpoint=inner(work / "upper"), **as_user)
    upper.finish()
    *rest, own = utab.user_table()
    assert rest == kept and "x-upper" in own
    for begun in lower, upper:
        begun.unmount()


def inner(path):
    path.mkdir()
    os.chown(path, NOBODY, NOBODY)
    return path


def test_a_user_takes_no_more_than_a_page_of_the_table(noted, as_user, others):
    note = f"x-{5000 * '#'}"
    begun = noted(note, **as_user)
    begun.service.goodbye()
    result = begun.helper.wait()
    assert result.code == 0 and "not recorded in the mount table: Argument list too long" in result.errors
    assert utab.entries_of(begun.mountpoint) == []
    begun.unmount()


def is_held():
    with open(LOCK) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def hold_lock():
    os.setresuid(NOBODY, NOBODY, NOBODY)
    fcntl.flock(os.open(LOCK, os.O_RDONLY), fcntl.LOCK_EX)


def test_a_neighbour_who_keeps_the_lock_keeps_nobody_from_mounting(noted, others):
    LOCK.touch(0o644)
    begun = noted("x-note")
    with forked(hold_lock):
        wait_for(is_held, what="the lock")
        begun.service.goodbye()
        result = begun.helper.wait()
    assert result.code == 0 and "x-note not recorded in the mount table: locked by another process" in result.one_line()
    assert utab.entries_of(begun.mountpoint) == [] and len(mounts.at(begun.mountpoint)) == 1
    begun.unmount()


def test_who_will_not_be_waited_for_is_named(attempt, others):
    begun = attempt()
    begun.prepare()
    with locked():
        begun.service.goodbye()
        result = begun.helper.wait()
    assert result.code == 0 and "umount will not wait for the server" in result.one_line()
    begun.unmount()


@pytest.mark.parametrize("watched, event", [(LOCK, IN_CLOSE_NOWRITE), (EVENT, IN_CLOSE_WRITE)], ids=["before 2.39", "since"])
def test_who_watches_the_table_learns_of_a_change(attempt, others, watched, event):
    watched.touch()
    watch = mounts.LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        assert mounts.LIBC.inotify_add_watch(watch, os.fsencode(watched), event) > 0
        begun = attempt()
        begun.mount()
        assert os.read(watch, 4096)
        begun.unmount()
    finally:
        os.close(watch)
        watched.unlink()
