# SPDX-License-Identifier: LGPL-2.1-or-later
"""The helper mounts for a service: what is asked for on the command line, there, and only when all has gone well."""

import errno
import os
import stat
from pathlib import Path

import pytest

from kit import mounts, programs, protocol
from kit.mounts import at


# the whole way


def test_a_mount_appears_when_the_server_says_goodbye_and_not_before(attempt, mountpoint):
    begun = attempt()
    begun.prepare()
    assert at(mountpoint) == []
    begun.finish()
    mount = mounts.the_one_at(mountpoint)
    assert (mount.type, mount.source) == ("fuse.toy", begun.source)
    assert {"user_id=0", "group_id=0"} <= mount.options
    begun.unmount()


def test_the_helper_says_nothing_and_is_gone_when_all_went_well(attempt):
    begun = attempt()
    begun.prepare()
    assert begun.finish()[:3] == (0, "", "")
    begun.unmount()


def test_a_regular_file_can_be_the_mountpoint(attempt, work):
    place = work / "place"
    place.touch()
    begun = attempt(mountpoint=place)
    assert begun.mount().type == "fuse.toy"
    begun.unmount()


def test_a_mountpoint_is_found_from_where_the_caller_stands(attempt, work, mountpoint):
    begun = attempt(mountpoint="mnt", cwd=work)
    begun.prepare()
    begun.finish()
    assert len(at(mountpoint)) == 1
    begun.unmount()


def test_a_mountpoint_whose_name_leads_elsewhere_by_now_is_not_mistaken(attempt, work, mountpoint):
    begun, victim = attempt(), work / "victim"
    victim.mkdir()
    mountpoint.rename(work / "moved")
    mountpoint.symlink_to(victim)
    begun.prepare()
    begun.service.goodbye()
    begun.helper.wait()
    assert at(victim) == []
    if at(work / "moved"):
        begun.service.stop_serving()
        mounts.unmount(work / "moved", "--internal-only", "--lazy")


def test_a_service_that_does_not_wait_for_answers_is_understood_as_well(attempt):
    begun = attempt()
    commands = [protocol.open_command(begun.source), protocol.type_command(), protocol.name(begun.source),
                protocol.mntp(begun.mountpoint), protocol.doit(), protocol.byee(0)]
    for command in commands:
        begun.service.send(command)
    assert begun.service.receive_file().error == 0
    assert [protocol.read_reply(begun.service.receive()[0]) for _ in range(4)] == [0] * 4
    assert begun.helper.wait().code == 0
    assert len(at(begun.place)) == 1
    begun.unmount()


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
    assert not any(word in line for line in mounts.user_table() for word in ("evil", "_netdev", "suid"))
    begun.unmount()


@pytest.mark.needs("mount_table")
def test_the_mount_table_records_what_the_caller_named_and_the_service_asks_for(attempt):
    begun = attempt("-o", "_netdev,x-demo=1")
    assert begun.service.command(protocol.mtab("_netdev,x-evil")) == 0
    begun.mount()
    table = [line for line in mounts.user_table() if f"TARGET={begun.mountpoint} " in line]
    assert len(table) == 1 and "_netdev" in table[0] and "evil" not in table[0]
    begun.unmount()
    assert begun.mountpoint not in "".join(mounts.user_table())


def test_no_entry_is_kept_where_the_caller_wants_none(attempt):
    begun = attempt("-n", "-o", "_netdev")
    assert begun.service.command(protocol.mtab("-n,_netdev")) == 0
    begun.mount()
    assert begun.mountpoint not in "".join(mounts.user_table())
    begun.unmount()


@pytest.mark.parametrize("options", ["x=\n", "\x1b[2J", "a,b\t", "\x7f", "a\rb"], ids=repr)
def test_a_control_character_for_the_mount_table_is_invalid(attempt, options):
    assert attempt().service.command(protocol.mtab(options)) == errno.EINVAL


# DOIT


ALLOWED = {
    "ro": mounts.RDONLY, "nosuid": mounts.NOSUID, "nodev": mounts.NODEV, "noexec": mounts.NOEXEC,
    "sync": mounts.SYNCHRONOUS, "dirsync": mounts.DIRSYNC, "noatime": mounts.NOATIME,
    "nodiratime": mounts.NODIRATIME, "lazytime": mounts.LAZYTIME, "nosymfollow": mounts.NOSYMFOLLOW,
}


@pytest.mark.parametrize("word, flag", ALLOWED.items(), ids=ALLOWED)
def test_a_harmless_flag_of_the_service_is_set(attempt, word, flag):
    begun = attempt()
    mount = begun.mount(flags=flag)
    assert word in mount.flags | mount.options
    assert ("ro" in mount.flags) == (word == "ro")
    begun.unmount()


@pytest.mark.parametrize("word", ALLOWED)
def test_a_flag_of_the_caller_is_set_though_the_service_leaves_it_out(attempt, word):
    begun = attempt("-o", word)
    mount = begun.mount(flags=0)
    assert word in mount.flags | mount.options
    begun.unmount()


@pytest.mark.parametrize("flags, shown", [
    (mounts.RELATIME, {"relatime"}), (mounts.STRICTATIME, set()), (mounts.SILENT, {"relatime"}),
    (mounts.NOATIME | mounts.NODIRATIME, {"noatime", "nodiratime"}),
])
def test_times_are_kept_as_the_flags_say(attempt, flags, shown):
    begun = attempt()
    found = begun.mount(flags=flags).flags
    assert found & {"relatime", "noatime", "nodiratime"} == shown
    begun.unmount()


@pytest.mark.parametrize("flag", [
    "REMOUNT", "MANDLOCK", "BIND", "MOVE", "REC", "POSIXACL", "UNBINDABLE", "PRIVATE", "SLAVE", "SHARED", "KERNMOUNT",
    "I_VERSION", "SUBMOUNT", "NOREMOTELOCK", "NOSEC", "BORN", "ACTIVE", "NOUSER",
])
@pytest.mark.parametrize("others", [0, mounts.NOSUID | mounts.NODEV])
def test_a_flag_that_could_change_another_mount_is_refused(attempt, flag, others):
    begun = attempt()
    assert begun.get_ready().command(protocol.doit(getattr(mounts, flag) | others)) != 0
    begun.service.goodbye()
    begun.fails()


def test_the_magic_number_of_old_mount_flags_is_refused(attempt):
    assert attempt().get_ready().command(protocol.doit(0xC0ED0000)) != 0


@pytest.mark.parametrize("words", [[], ["-o", "rw"], ["-o", "exec,atime"]], ids=str)
def test_no_program_gains_rights_and_no_device_works_on_the_mount(attempt, words):
    begun = attempt(*words)
    assert {"nosuid", "nodev"} <= begun.mount(flags=0).flags
    begun.unmount()


@pytest.mark.parametrize("word, stays", [("suid", "nodev"), ("dev", "nosuid")])
def test_root_can_lift_each_of_these_on_the_command_line(attempt, word, stays):
    begun = attempt("-o", word)
    assert begun.mount(flags=0).flags & {"nosuid", "nodev"} == {stays}
    begun.unmount()


def test_a_mount_that_failed_may_be_tried_again(attempt):
    begun = attempt()
    begun.get_ready()
    assert begun.service.command(protocol.doit(mounts.BIND)) != 0
    assert begun.service.command(protocol.doit()) == 0
    begun.finish()
    begun.unmount()


# in which order


@pytest.mark.parametrize("command", [
    protocol.type_command(), protocol.name("toy"), protocol.opts("max_read=4096"), protocol.mtab("rw"), "MNTP",
], ids=lambda command: repr(command[:4]))
def test_a_word_that_was_taken_is_not_taken_twice(attempt, mountpoint, command):
    command = protocol.mntp(mountpoint) if command == "MNTP" else command
    service = attempt().service
    assert [service.command(command) for _ in range(3)] == [0, errno.EINVAL, errno.EINVAL]


def test_nothing_is_mounted_without_a_name_and_a_mountpoint(attempt, mountpoint):
    service = attempt().service
    assert service.command(protocol.doit()) == errno.EINVAL
    assert service.command(protocol.mntp(mountpoint)) == 0
    assert service.command(protocol.doit()) == errno.EINVAL
    assert service.command(protocol.name("toy")) == 0
    assert service.command(protocol.doit()) == 0


def test_a_name_alone_is_not_enough_to_mount(attempt):
    service = attempt().service
    assert service.command(protocol.name("toy")) == 0
    assert service.command(protocol.doit()) == errno.EINVAL


def test_a_second_mount_is_invalid(attempt):
    begun = attempt()
    begun.prepare()
    assert begun.service.command(protocol.doit()) == errno.EINVAL
    begun.finish()
    assert len(at(begun.mountpoint)) == 1
    begun.unmount()


def test_there_is_nothing_to_unmount_before_a_mount(attempt):
    assert attempt().service.command(protocol.umnt()) == errno.EINVAL


def test_a_mount_that_the_service_takes_back_never_appears(attempt):
    begun = attempt()
    begun.prepare()
    assert [begun.service.command(protocol.umnt()) for _ in range(2)] == [0, errno.EINVAL]
    begun.service.goodbye(0)
    begun.fails_in_one_line()


@pytest.mark.parametrize("code", [0, 1, 255, 0xFFFFFFFF])
def test_a_goodbye_before_the_mount_is_a_failure(attempt, code):
    begun = attempt()
    begun.service.goodbye(code)
    begun.blames_the_service()


@pytest.mark.parametrize("code", [1, 2, 256, 0xFFFFFFFF])
def test_a_goodbye_with_a_failure_leaves_nothing_mounted(attempt, code):
    begun = attempt()
    begun.prepare()
    begun.service.goodbye(code)
    begun.blames_the_service()


def test_a_service_without_its_program_is_told_from_others(attempt):
    begun = attempt()
    begun.service.goodbye(127)
    assert "exit code 127, as where its server is not installed" in begun.fails_in_one_line()


def test_a_service_that_hangs_up_after_mounting_leaves_nothing_mounted(attempt):
    begun = attempt()
    begun.prepare()
    begun.service.hang_up()
    begun.blames_the_service()


# the server's entry


def start_time(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


@pytest.mark.needs("mount_table")
def test_the_mount_table_knows_the_server_whoever_accepted_for_it(attempt):
    """As with a service manager: what listens and accepts is not what serves."""
    begun = attempt()
    begun.prepare()
    with programs.forked(lambda: begun.service.send(protocol.byee(0))) as server:
        assert begun.helper.wait().code == 0
        entry, = mounts.entries_of(begun.mountpoint)
        assert entry["ATTRS"] == f"fsvc.server={server}:{start_time(server)}"
    begun.unmount()
    assert mounts.entries_of(begun.mountpoint) == []


def test_without_an_entry_in_the_mount_table_there_is_no_server_in_it(attempt):
    begun = attempt("-n")
    begun.mount()
    assert mounts.entries_of(begun.mountpoint) == []
    begun.unmount()


@pytest.mark.needs("mount_table")
def test_the_mount_table_has_the_place_that_is_mounted_on_and_not_its_former_name(attempt, work, mountpoint):
    begun = attempt()
    begun.place = mountpoint.rename(work / "moved")
    begun.mount()
    assert mounts.entries_of(mountpoint) == []
    assert len(mounts.entries_of(begun.place)) == 1
    begun.unmount()
