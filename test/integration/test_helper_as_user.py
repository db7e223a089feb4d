# SPDX-License-Identifier: LGPL-2.1-or-later
"""The set-user-ID helper, run by an unprivileged user: the service gets no more permissions than the user has."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from kit import mounts, protocol, utab
from kit.programs import AS_NOBODY, NOBODY
from kit.unprivileged_user import as_user, fuse_conf, set_user_id  # noqa: F401, fixtures


def test_hello_of_user_has_no_flags(attempt, as_user):
    assert attempt(**as_user).service.hello == protocol.Hello(1, 1, flags=0)


@pytest.mark.parametrize("options", [[], ["-u"], ["-u", "-z"]], ids=" ".join)
def test_fusermount_has_only_permissions_of_caller(as_user, work, mountpoint, options):
    fusermount = work / "programs" / "fusermount3"
    fusermount.symlink_to("fuservicemount3")
    done = subprocess.run([*AS_NOBODY, fusermount, *options, mountpoint], env={"_FUSE_COMMFD": "0"}, text=True,
                          capture_output=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and not mounts.at(mountpoint)
    assert done.stderr.endswith(f"{mountpoint}: cannot {'unmount' if options else 'mount'}: Operation not permitted\n")


def test_user_allow_other_of_fuse_conf_permits_allow_other(attempt, as_user, fuse_conf):
    fuse_conf("user_allow_other\n")
    session = attempt("-o", "allow_other", **as_user)
    assert session.service.hello == protocol.Hello(1, 1, flags=protocol.ALLOW_OTHER)
    assert {"allow_other", "default_permissions"} <= session.mount(options="allow_other").options
    session.unmount()


def test_service_cannot_set_allow_other_without_option_of_user(attempt, as_user, fuse_conf):
    fuse_conf("user_allow_other\n")
    assert attempt(**as_user).service.command(protocol.opts("allow_other")) == errno.EPERM


def test_user_cannot_set_allow_other_without_fuse_conf(start, as_user, fuse_conf):
    fuse_conf("#user_allow_other\n")
    session = start("-o", "allow_other", **as_user)
    session.try_to_mount(protocol.opts("allow_other"))
    session.assert_fails()


def test_mount_has_user_id_of_caller(attempt, as_user):
    session = attempt(**as_user)
    mount = session.mount()
    assert {f"user_id={NOBODY}", f"group_id={NOBODY}"} <= mount.options
    assert {"nosuid", "nodev"} <= mount.flags
    session.unmount()


@pytest.mark.parametrize("option", ["suid", "dev", "suid,dev"])
def test_user_cannot_enable_suid_or_dev(start, as_user, option):
    session = start("-o", option, **as_user)
    session.try_to_mount()
    session.helper.wait()
    for mount in mounts.at(session.mountpoint):
        assert {"nosuid", "nodev"} <= mount.flags
        session.unmount()


@pytest.mark.parametrize("kind", ["fuse.toy", "fuseblk.toy"])
def test_service_of_user_cannot_mount_fuseblk(start, as_user, kind):
    session = start(kind=kind, **as_user)
    service = session.connect()
    service.handshake()
    assert not service.hello.flags & protocol.FUSEBLK
    assert service.command(protocol.type_command(protocol.TYPE_FUSEBLK)) == errno.EPERM


def test_service_cannot_open_files_that_user_cannot_open(attempt, as_user, work):
    secret = work / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    service = attempt(source=secret, **as_user).service
    assert service.open(secret).error == errno.EACCES
    assert service.open(secret, os.O_RDWR).error == errno.EACCES


def test_user_cannot_mount_on_directory_of_root(start, as_user, work):
    other = work / "other"
    other.mkdir()
    session = start(mountpoint=other, **as_user)
    session.try_to_mount()
    assert session.assert_fails().one_line()


def test_utab_entry_of_user_is_in_table_owned_by_root(attempt, as_user):
    session = attempt("-o", "x-gvfs-show", **as_user)
    assert session.service.command(protocol.mtab("x-gvfs-show")) == 0
    session.mount()
    entry, = utab.entries_of(session.mountpoint)
    assert entry["OPTS"].split(",")[:3] == ["x-gvfs-show", "user=nobody", "uhelper=fuse"]
    assert entry["ATTRS"].startswith(f"fsvc.server={os.getpid()}:")
    for table in Path("/run/mount").iterdir():
        status = table.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o022) == (0, 0, 0), table
    session.unmount()


@pytest.fixture
def long_table():
    """A mount table with 100 entries, which must be unchanged after the test."""
    lines = [f"SRC=/nothing TARGET=/nowhere/{number} ROOT=/ OPTS=user=alice" for number in range(100)]
    table = Path("/run/mount/utab")
    table.write_text("\n".join(lines) + "\n")
    yield table
    assert [line.rstrip() for line in utab.user_table()] == lines
    table.unlink()


def test_file_size_limit_does_not_truncate_utab(attempt, as_user, long_table):
    command = ["prlimit", "--fsize=4096", "env", "--ignore-signal=CHLD", *as_user.pop("command")]
    session = attempt(command=command, **as_user)
    session.mount()
    assert utab.entries_of(session.mountpoint) == []
    assert {path.name for path in Path("/run/mount").iterdir()} <= {"utab", "utab.lock", "utab.event"}
    session.unmount()


@pytest.mark.parametrize("kilobytes", range(32, 640, 32))
def test_memory_limit_does_not_truncate_utab(start, as_user, long_table, kilobytes):
    with long_table.open("a") as table:
        table.write(f"SRC=/nothing TARGET=/long ROOT=/ OPTS=x-{240000 * 'y'}\n")
        table.write("SRC=/nothing TARGET=/last ROOT=/ OPTS=x-last\n")
    before = long_table.read_text()
    session = start(command=["prlimit", f"--data={kilobytes << 10}", *as_user.pop("command")], **as_user)
    session.try_to_mount()
    session.helper.exit_code()
    assert long_table.read_text().startswith(before)
    for _ in mounts.at(session.absolute_mountpoint):
        session.unmount()
    long_table.write_text("".join(before.splitlines(keepends=True)[:-2]))


def test_file_size_limit_below_command_line_size_is_reported(start, as_user):
    command = ["prlimit", "--fsize=1000", *as_user.pop("command")]
    session = start("-o", f"long={2000 * 'x'}", command=command, **as_user)
    session.connect()
    session.assert_fails_in_one_line("cannot pass the command line to the service: File too large")
