# SPDX-License-Identifier: LGPL-2.1-or-later
"""A set-user-ID helper in the hands of somebody who is not root: what the caller may not, the service may not."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from kit import mounts, protocol, utab
from kit.programs import AS_NOBODY, NOBODY
from kit.unprivileged_user import as_user, fuse_conf, set_user_id  # noqa: F401, fixtures


def test_a_user_is_introduced_without_any_right(attempt, as_user):
    assert attempt(**as_user).service.hello == protocol.Hello(1, 1, flags=0)


@pytest.mark.parametrize("words", [[], ["-u"], ["-u", "-z"]], ids=" ".join)
def test_what_servers_call_to_mount_has_the_callers_rights_alone(as_user, work, mountpoint, words):
    stand_in = work / "programs" / "fusermount3"
    stand_in.symlink_to("fuservicemount3")
    done = subprocess.run([*AS_NOBODY, stand_in, *words, mountpoint], env={"_FUSE_COMMFD": "0"}, text=True,
                          capture_output=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and not mounts.at(mountpoint)
    assert done.stderr.endswith(f"{mountpoint}: cannot {'unmount' if words else 'mount'}: Operation not permitted\n")


def test_a_user_may_let_others_in_where_fuse_conf_says_so(attempt, as_user, fuse_conf):
    fuse_conf("user_allow_other\n")
    begun = attempt("-o", "allow_other", **as_user)
    assert begun.service.hello == protocol.Hello(1, 1, flags=protocol.ALLOW_OTHER)
    assert {"allow_other", "default_permissions"} <= begun.mount(options="allow_other").options
    begun.unmount()


def test_a_service_cannot_let_others_in_where_the_user_does_not_say_so(attempt, as_user, fuse_conf):
    fuse_conf("user_allow_other\n")
    assert attempt(**as_user).service.command(protocol.opts("allow_other")) == errno.EPERM


def test_a_user_cannot_let_others_in_where_fuse_conf_does_not_say_so(start, as_user, fuse_conf):
    fuse_conf("#user_allow_other\n")
    begun = start("-o", "allow_other", **as_user)
    begun.try_to_mount(protocol.opts("allow_other"))
    begun.fails()


def test_a_mount_belongs_to_the_user_who_asked_for_it(attempt, as_user):
    begun = attempt(**as_user)
    mount = begun.mount()
    assert {f"user_id={NOBODY}", f"group_id={NOBODY}"} <= mount.options
    assert {"nosuid", "nodev"} <= mount.flags
    begun.unmount()


@pytest.mark.parametrize("word", ["suid", "dev", "suid,dev"])
def test_a_user_cannot_lift_what_protects_the_others(start, as_user, word):
    begun = start("-o", word, **as_user)
    begun.try_to_mount()
    begun.helper.wait()
    for mount in mounts.at(begun.mountpoint):
        assert {"nosuid", "nodev"} <= mount.flags
        begun.unmount()


@pytest.mark.parametrize("kind", ["fuse.toy", "fuseblk.toy"])
def test_a_service_gets_no_fuseblk_for_a_user(start, as_user, kind):
    begun = start(kind=kind, **as_user)
    service = begun.connect()
    service.handshake()
    assert not service.hello.flags & protocol.FUSEBLK
    assert service.command(protocol.type_command(protocol.TYPE_FUSEBLK)) == errno.EPERM


def test_a_service_opens_nothing_that_the_user_may_not_open(attempt, as_user, work):
    secret = work / "secret"
    secret.write_text("root's own")
    secret.chmod(0o600)
    service = attempt(source=secret, **as_user).service
    assert service.open(secret).error == errno.EACCES
    assert service.open(secret, os.O_RDWR).error == errno.EACCES


def test_a_user_mounts_on_no_directory_of_somebody_else(start, as_user, work):
    other = work / "roots"
    other.mkdir()
    begun = start(mountpoint=other, **as_user)
    begun.try_to_mount()
    assert begun.fails().one_line()


def test_a_users_mount_is_recorded_for_umount_in_a_table_that_is_roots(attempt, as_user):
    begun = attempt("-o", "x-gvfs-show", **as_user)
    assert begun.service.command(protocol.mtab("x-gvfs-show")) == 0
    begun.mount()
    entry, = utab.entries_of(begun.mountpoint)
    assert entry["OPTS"].split(",")[:3] == ["x-gvfs-show", "user=nobody", "uhelper=fuse"]
    assert entry["ATTRS"].startswith(f"fsvc.server={os.getpid()}:")
    for table in Path("/run/mount").iterdir():
        status = table.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o022) == (0, 0, 0), table
    begun.unmount()


@pytest.fixture
def long_table():
    """A mount table of some size, which is whole afterwards."""
    lines = [f"SRC=/nothing TARGET=/nowhere/{number} ROOT=/ OPTS=user=somebody" for number in range(100)]
    table = Path("/run/mount/utab")
    table.write_text("\n".join(lines) + "\n")
    yield table
    assert [line.rstrip() for line in utab.user_table()] == lines
    table.unlink()


def test_a_users_limit_does_not_cut_the_mount_table(attempt, as_user, long_table):
    command = ["prlimit", "--fsize=4096", "env", "--ignore-signal=CHLD", *as_user.pop("command")]
    begun = attempt(command=command, **as_user)
    begun.mount()
    assert utab.entries_of(begun.mountpoint) == []
    assert {path.name for path in Path("/run/mount").iterdir()} <= {"utab", "utab.lock", "utab.event"}
    begun.unmount()


@pytest.mark.parametrize("kilobytes", range(32, 640, 32))
def test_a_users_memory_limit_does_not_cut_the_mount_table(start, as_user, long_table, kilobytes):
    with long_table.open("a") as table:
        table.write(f"SRC=/nothing TARGET=/long ROOT=/ OPTS=x-{240000 * 'y'}\n")
        table.write("SRC=/nothing TARGET=/last ROOT=/ OPTS=x-last\n")
    before = long_table.read_text()
    begun = start(command=["prlimit", f"--data={kilobytes << 10}", *as_user.pop("command")], **as_user)
    begun.try_to_mount()
    begun.helper.exit_code()
    assert long_table.read_text().startswith(before)
    for _ in mounts.at(begun.place):
        begun.unmount()
    long_table.write_text("".join(before.splitlines(keepends=True)[:-2]))


def test_a_limit_that_leaves_no_room_for_the_command_line_is_named(start, as_user):
    command = ["prlimit", "--fsize=1000", *as_user.pop("command")]
    begun = start("-o", f"long={2000 * 'x'}", command=command, **as_user)
    begun.connect()
    begun.fails_in_one_line("cannot pass the command line to the service: File too large")
