# SPDX-License-Identifier: LGPL-2.1-or-later
"""The requests TYPE, NAME, MNTP, OPTS and MTAB: the service sets what the command line allows, and nothing more."""

import errno
import os
import stat

import pytest

from kit import mounts, protocol, utab


# TYPE


@pytest.mark.parametrize("kind", [2, 3, 1 << 31])
def test_a_type_with_a_flag_nobody_knows_is_invalid(attempt, kind):
    assert attempt().service.command(protocol.type_command(kind)) == errno.EINVAL


def test_root_may_mount_a_block_device_as_fuseblk(attempt, loop):
    begun = attempt(source=loop, kind="fuseblk.toy")
    opened = begun.service.bdev(loop, os.O_RDWR)
    assert opened.error == 0
    mount = begun.mount(kind=protocol.TYPE_FUSEBLK, options="blksize=512")
    assert (mount.type, mount.source) == ("fuseblk.toy", loop)
    assert "user_id=0" in mount.options
    begun.unmount()


@pytest.mark.parametrize("mode", [os.O_RDONLY, os.O_RDWR], ids=["read", "written"])
def test_a_device_is_mounted_as_fuseblk_where_the_command_line_says_so(attempt, loop, mode):
    """The service does not see the type, and the kernel is to keep others away from the device."""
    begun = attempt(source=loop, kind="fuseblk.toy")
    assert begun.service.bdev(loop, mode).error == 0
    mount = begun.mount(kind=0)
    assert (mount.type, mount.source) == ("fuseblk.toy", loop)
    begun.unmount()


def test_a_device_that_is_asked_for_after_a_plain_mount_is_kept_from_others(attempt, loop):
    begun = attempt(source=loop, kind="fuseblk.toy")
    for command in protocol.name(begun.source), protocol.mntp(begun.mountpoint), protocol.doit():
        assert begun.service.command(command) == 0
    assert begun.service.bdev(loop, os.O_RDWR).error == 0
    with pytest.raises(OSError, match="busy"):
        os.close(os.open(loop, os.O_RDWR | os.O_EXCL))


def test_a_mount_without_a_type_is_plain_fuse(attempt):
    begun = attempt()
    for command in protocol.name(begun.source), protocol.mntp(begun.mountpoint), protocol.doit():
        assert begun.service.command(command) == 0
    begun.finish()
    assert mounts.the_one_at(begun.mountpoint).type == "fuse.toy"
    begun.unmount()


# NAME


@pytest.mark.parametrize("words, name", [([], "toy"), (["-o", "ro,fsname=Holiday"], "Holiday"),
                                         (["-o", "ro", "-o", "fsname=/x"], "/x")], ids=["subtype", "fsname", "path"])
def test_a_mount_is_named_as_the_command_line_allows(attempt, words, name):
    begun = attempt(*words)
    begun.source = name
    assert begun.mount().source == name
    begun.unmount()


@pytest.mark.parametrize("name", ["/dev/sda1", "", "toy2", "server:/export", "source.img", "ro", "Holi"])
def test_a_mount_is_not_named_after_anything_else(attempt, name):
    service = attempt("-o", "ro,fsname=Holiday").service
    assert service.command(protocol.name(name)) == errno.EPERM


# MNTP


@pytest.mark.parametrize("spell", [
    lambda path: path.parent / "other", lambda path: path.parent, lambda path: f"{path}/", lambda path: f"/{path}",
    lambda path: f"{path.parent}/./mnt", lambda path: "mnt", lambda path: "", lambda path: "/proc/self/cwd",
    lambda path: path.parent / "source.img",
], ids=["other", "parent", "slash", "slashes", "dot", "relative", "nothing", "proc", "source"])
def test_another_mountpoint_is_invalid(attempt, work, mountpoint, spell):
    (work / "other").mkdir()
    service = attempt(cwd=work).service
    assert service.command(protocol.mntp(spell(mountpoint))) == errno.EINVAL


def test_a_mountpoint_of_the_expected_format_is_accepted(attempt, mountpoint):
    assert attempt().service.command(protocol.mntp(mountpoint, expected=stat.S_IFDIR)) == 0


def test_a_file_is_accepted_where_a_file_is_expected(attempt, work):
    (work / "place").touch()
    service = attempt(mountpoint=work / "place").service
    assert service.command(protocol.mntp(work / "place", expected=stat.S_IFREG)) == 0


def test_a_directory_is_refused_where_a_file_is_expected(attempt, mountpoint):
    assert attempt().service.command(protocol.mntp(mountpoint, expected=stat.S_IFREG)) == errno.EISDIR


def test_a_file_is_refused_where_a_directory_is_expected(attempt, work):
    (work / "place").touch()
    service = attempt(mountpoint=work / "place").service
    assert service.command(protocol.mntp(work / "place", expected=stat.S_IFDIR)) == errno.ENOTDIR


@pytest.mark.parametrize("expected", [stat.S_IFLNK, stat.S_IFBLK, stat.S_IFIFO, 1, 0xFFFF], ids=oct)
def test_an_expected_format_that_no_mountpoint_has_is_refused(attempt, mountpoint, expected):
    assert attempt().service.command(protocol.mntp(mountpoint, expected=expected)) != 0


@pytest.mark.parametrize("make", [
    os.mkfifo, lambda path: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3)),
], ids=["fifo", "character device"])
def test_a_mountpoint_that_is_no_directory_or_file_is_refused(start, work, make):
    make(work / "odd")
    begun = start(mountpoint=work / "odd")
    begun.try_to_mount()
    begun.fails_in_one_line(work / "odd")


def test_padding_in_a_mountpoint_is_invalid(attempt, mountpoint):
    assert attempt().service.command(protocol.mntp(mountpoint, padding=1)) == errno.EINVAL


# OPTS


@pytest.mark.parametrize("options, shown", [
    ("default_permissions", {"default_permissions"}),
    ("allow_other", {"allow_other", "default_permissions"}),
    ("max_read=65536", {"max_read=65536"}),
    ("default_permissions,allow_other,max_read=4096", {"default_permissions", "allow_other", "max_read=4096"}),
    ("", set()),
])
def test_an_option_of_the_kernel_is_set(attempt, options, shown):
    begun = attempt()
    found = begun.mount(options=options).options
    assert shown <= found
    assert ("allow_other" in found) == ("allow_other" in shown)
    begun.unmount()


@pytest.mark.parametrize("option", [
    "fd=0", "fd=3", "rootmode=100000", "rootmode=40000", "user_id=0", "user_id=65534", "group_id=0", "subtype=ext4",
    "context=system_u:object_r:tmp_t:s0", "fscontext=x", "defcontext=x", "rootcontext=x", "source=/x",
    "suid", "dev", "ro", "remount", "bind", "unknown", "unknown=1", "allow_root", "nonempty", "max_read", "max_read=",
    "max_read=-1", "max_read=1x", "max_read=99999999999", "default_permissions=1", "allow_other=", " allow_other",
    "ALLOW_OTHER", "default_permissions\n", "max_read=1\\,fd=0", "max_read=\x1b[2J",
], ids=repr)
@pytest.mark.parametrize("around", ["{}", "default_permissions,{}", "{},max_read=4096"])
def test_an_option_that_is_not_the_services_to_set_is_refused(attempt, option, around):
    assert attempt().service.command(protocol.opts(around.format(option))) != 0


def test_a_refused_option_is_not_set_along_the_way(attempt):
    begun = attempt()
    assert begun.service.command(protocol.opts("allow_other,fd=0")) != 0
    begun.prepare()
    begun.finish()
    assert "allow_other" not in mounts.the_one_at(begun.place).options
    begun.unmount()


def test_a_block_size_is_for_block_devices_alone(attempt):
    service = attempt().get_ready()
    assert service.command(protocol.opts("blksize=512")) or service.command(protocol.doit())


# MTAB


@pytest.mark.parametrize("options", ["", "uhelper=evil,x-evil", "-n", "user=evil,_netdev", "rw,suid"])
def test_the_mount_table_records_nothing_that_the_caller_did_not_name(attempt, options):
    begun = attempt()
    assert begun.service.command(protocol.mtab(options)) == 0
    begun.mount()
    assert not any(word in line for line in utab.user_table() for word in ("evil", "_netdev", "suid"))
    begun.unmount()


@pytest.mark.needs("mount_table")
def test_the_mount_table_records_what_the_caller_named_and_the_service_asks_for(attempt):
    begun = attempt("-o", "_netdev,x-demo=1")
    assert begun.service.command(protocol.mtab("_netdev,x-evil")) == 0
    begun.mount()
    table = [line for line in utab.user_table() if f"TARGET={begun.mountpoint} " in line]
    assert len(table) == 1 and "_netdev" in table[0] and "evil" not in table[0]
    begun.unmount()
    assert begun.mountpoint not in "".join(utab.user_table())


def test_no_entry_is_kept_where_the_caller_wants_none(attempt):
    begun = attempt("-n", "-o", "_netdev")
    assert begun.service.command(protocol.mtab("-n,_netdev")) == 0
    begun.mount()
    assert begun.mountpoint not in "".join(utab.user_table())
    begun.unmount()


@pytest.mark.parametrize("options", ["x=\n", "\x1b[2J", "a,b\t", "\x7f", "a\rb"], ids=repr)
def test_a_control_character_for_the_mount_table_is_invalid(attempt, options):
    assert attempt().service.command(protocol.mtab(options)) == errno.EINVAL
