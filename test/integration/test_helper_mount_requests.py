# SPDX-License-Identifier: LGPL-2.1-or-later
"""The requests TYPE, NAME, MNTP, OPTS and MTAB: a service can only set what the command line allows."""

import errno
import os
import stat

import pytest

from kit import mounts, protocol, utab


# TYPE


@pytest.mark.parametrize("kind", [2, 3, 1 << 31])
def test_unknown_type_flag_is_invalid(attempt, kind):
    assert attempt().service.command(protocol.type_command(kind)) == errno.EINVAL


def test_root_can_mount_fuseblk(attempt, loop):
    session = attempt(source=loop, kind="fuseblk.toy")
    opened = session.service.bdev(loop, os.O_RDWR)
    assert opened.error == 0
    mount = session.mount(kind=protocol.TYPE_FUSEBLK, options="blksize=512")
    assert (mount.type, mount.source) == ("fuseblk.toy", loop)
    assert "user_id=0" in mount.options
    session.unmount()


@pytest.mark.parametrize("mode", [os.O_RDONLY, os.O_RDWR], ids=["read", "written"])
def test_type_fuseblk_of_command_line_is_used(attempt, loop, mode):
    """The service does not see the type. The kernel must open the device exclusively."""
    session = attempt(source=loop, kind="fuseblk.toy")
    assert session.service.bdev(loop, mode).error == 0
    mount = session.mount(kind=0)
    assert (mount.type, mount.source) == ("fuseblk.toy", loop)
    session.unmount()


def test_device_opened_after_mount_command_is_exclusive(attempt, loop):
    session = attempt(source=loop, kind="fuseblk.toy")
    for command in protocol.name(session.source), protocol.mntp(session.mountpoint), protocol.doit():
        assert session.service.command(command) == 0
    assert session.service.bdev(loop, os.O_RDWR).error == 0
    with pytest.raises(OSError, match="busy"):
        os.close(os.open(loop, os.O_RDWR | os.O_EXCL))


def test_default_type_is_fuse(attempt):
    session = attempt()
    for command in protocol.name(session.source), protocol.mntp(session.mountpoint), protocol.doit():
        assert session.service.command(command) == 0
    session.finish()
    assert mounts.single_mount_at(session.mountpoint).type == "fuse.toy"
    session.unmount()


# NAME


@pytest.mark.parametrize("options, name", [([], "toy"), (["-o", "ro,fsname=Holiday"], "Holiday"),
                                         (["-o", "ro", "-o", "fsname=/x"], "/x")], ids=["subtype", "fsname", "path"])
def test_mount_source_is_name_that_command_line_allows(attempt, options, name):
    session = attempt(*options)
    session.source = name
    assert session.mount().source == name
    session.unmount()


@pytest.mark.parametrize("name", ["/dev/sda1", "", "toy2", "server:/export", "source.img", "ro", "Holi"])
def test_other_mount_source_is_refused(attempt, name):
    service = attempt("-o", "ro,fsname=Holiday").service
    assert service.command(protocol.name(name)) == errno.EPERM


# MNTP


@pytest.mark.parametrize("spell", [
    lambda path: path.parent / "other", lambda path: path.parent, lambda path: f"{path}/", lambda path: f"/{path}",
    lambda path: f"{path.parent}/./mnt", lambda path: "mnt", lambda path: "", lambda path: "/proc/self/cwd",
    lambda path: path.parent / "source.img",
], ids=["other", "parent", "slash", "slashes", "dot", "relative", "nothing", "proc", "source"])
def test_other_mountpoint_is_invalid(attempt, work, mountpoint, spell):
    (work / "other").mkdir()
    service = attempt(cwd=work).service
    assert service.command(protocol.mntp(spell(mountpoint))) == errno.EINVAL


def test_mountpoint_of_expected_format_is_accepted(attempt, mountpoint):
    assert attempt().service.command(protocol.mntp(mountpoint, expected=stat.S_IFDIR)) == 0


def test_file_mountpoint_is_accepted_if_file_is_expected(attempt, work):
    (work / "target").touch()
    service = attempt(mountpoint=work / "target").service
    assert service.command(protocol.mntp(work / "target", expected=stat.S_IFREG)) == 0


def test_directory_is_refused_if_file_is_expected(attempt, mountpoint):
    assert attempt().service.command(protocol.mntp(mountpoint, expected=stat.S_IFREG)) == errno.EISDIR


def test_file_is_refused_if_directory_is_expected(attempt, work):
    (work / "target").touch()
    service = attempt(mountpoint=work / "target").service
    assert service.command(protocol.mntp(work / "target", expected=stat.S_IFDIR)) == errno.ENOTDIR


@pytest.mark.parametrize("expected", [stat.S_IFLNK, stat.S_IFBLK, stat.S_IFIFO, 1, 0xFFFF], ids=oct)
def test_other_expected_formats_are_refused(attempt, mountpoint, expected):
    assert attempt().service.command(protocol.mntp(mountpoint, expected=expected)) != 0


@pytest.mark.parametrize("make", [
    os.mkfifo, lambda path: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3)),
], ids=["fifo", "character device"])
def test_mountpoint_of_other_file_type_is_refused(start, work, make):
    make(work / "odd")
    session = start(mountpoint=work / "odd")
    session.try_to_mount()
    session.assert_fails_in_one_line(work / "odd")


def test_nonzero_padding_of_mntp_is_invalid(attempt, mountpoint):
    assert attempt().service.command(protocol.mntp(mountpoint, padding=1)) == errno.EINVAL


# OPTS


@pytest.mark.parametrize("options, shown", [
    ("default_permissions", {"default_permissions"}),
    ("allow_other", {"allow_other", "default_permissions"}),
    ("max_read=65536", {"max_read=65536"}),
    ("default_permissions,allow_other,max_read=4096", {"default_permissions", "allow_other", "max_read=4096"}),
    ("", set()),
])
def test_allowed_kernel_option_is_set(attempt, options, shown):
    session = attempt()
    found = session.mount(options=options).options
    assert shown <= found
    assert ("allow_other" in found) == ("allow_other" in shown)
    session.unmount()


@pytest.mark.parametrize("option", [
    "fd=0", "fd=3", "rootmode=100000", "rootmode=40000", "user_id=0", "user_id=65534", "group_id=0", "subtype=ext4",
    "context=system_u:object_r:tmp_t:s0", "fscontext=x", "defcontext=x", "rootcontext=x", "source=/x",
    "suid", "dev", "ro", "remount", "bind", "unknown", "unknown=1", "allow_root", "nonempty", "max_read", "max_read=",
    "max_read=-1", "max_read=1x", "max_read=99999999999", "default_permissions=1", "allow_other=", " allow_other",
    "ALLOW_OTHER", "default_permissions\n", "max_read=1\\,fd=0", "max_read=\x1b[2J",
], ids=repr)
@pytest.mark.parametrize("around", ["{}", "default_permissions,{}", "{},max_read=4096"])
def test_other_option_is_refused(attempt, option, around):
    assert attempt().service.command(protocol.opts(around.format(option))) != 0


def test_refused_options_are_not_partly_set(attempt):
    session = attempt()
    assert session.service.command(protocol.opts("allow_other,fd=0")) != 0
    session.prepare()
    session.finish()
    assert "allow_other" not in mounts.single_mount_at(session.absolute_mountpoint).options
    session.unmount()


def test_block_size_is_refused_for_plain_fuse(attempt):
    service = attempt().get_ready()
    assert service.command(protocol.opts("blksize=512")) or service.command(protocol.doit())


# MTAB


@pytest.mark.parametrize("options", ["", "uhelper=evil,x-evil", "-n", "user=evil,_netdev", "rw,suid"])
def test_utab_contains_only_options_of_command_line(attempt, options):
    session = attempt()
    assert session.service.command(protocol.mtab(options)) == 0
    session.mount()
    assert not any(word in line for line in utab.user_table() for word in ("evil", "_netdev", "suid"))
    session.unmount()


@pytest.mark.needs("mount_table")
def test_utab_contains_option_of_command_line_that_service_requests(attempt):
    session = attempt("-o", "_netdev,x-demo=1")
    assert session.service.command(protocol.mtab("_netdev,x-evil")) == 0
    session.mount()
    table = [line for line in utab.user_table() if f"TARGET={session.mountpoint} " in line]
    assert len(table) == 1 and "_netdev" in table[0] and "evil" not in table[0]
    session.unmount()
    assert session.mountpoint not in "".join(utab.user_table())


def test_no_utab_entry_with_option_n(attempt):
    session = attempt("-n", "-o", "_netdev")
    assert session.service.command(protocol.mtab("-n,_netdev")) == 0
    session.mount()
    assert session.mountpoint not in "".join(utab.user_table())
    session.unmount()


@pytest.mark.parametrize("options", ["x=\n", "\x1b[2J", "a,b\t", "\x7f", "a\rb"], ids=repr)
def test_control_character_in_utab_option_is_invalid(attempt, options):
    assert attempt().service.command(protocol.mtab(options)) == errno.EINVAL
