# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mount flags of DOIT: a service can only set flags of its own mount."""


import pytest

from kit import mounts, protocol


# DOIT


ALLOWED_FLAGS = {
    "ro": mounts.RDONLY, "nosuid": mounts.NOSUID, "nodev": mounts.NODEV, "noexec": mounts.NOEXEC,
    "sync": mounts.SYNCHRONOUS, "dirsync": mounts.DIRSYNC, "noatime": mounts.NOATIME,
    "nodiratime": mounts.NODIRATIME, "lazytime": mounts.LAZYTIME, "nosymfollow": mounts.NOSYMFOLLOW,
}


@pytest.mark.parametrize("option, flag", ALLOWED_FLAGS.items(), ids=ALLOWED_FLAGS)
def test_allowed_mount_flag_of_service_is_set(attempt, option, flag):
    session = attempt()
    mount = session.mount(flags=flag)
    assert option in mount.flags | mount.options
    assert ("ro" in mount.flags) == (option == "ro")
    session.unmount()


@pytest.mark.parametrize("option", ALLOWED_FLAGS)
def test_mount_flag_of_caller_is_set_without_service(attempt, option):
    session = attempt("-o", option)
    mount = session.mount(flags=0)
    assert option in mount.flags | mount.options
    session.unmount()


@pytest.mark.parametrize("flags, shown", [
    (mounts.RELATIME, {"relatime"}), (mounts.STRICTATIME, set()), (mounts.SILENT, {"relatime"}),
    (mounts.NOATIME | mounts.NODIRATIME, {"noatime", "nodiratime"}),
])
def test_time_flags_are_applied(attempt, flags, shown):
    session = attempt()
    found = session.mount(flags=flags).flags
    assert found & {"relatime", "noatime", "nodiratime"} == shown
    session.unmount()


@pytest.mark.parametrize("flag", [
    "REMOUNT", "MANDLOCK", "BIND", "MOVE", "REC", "POSIXACL", "UNBINDABLE", "PRIVATE", "SLAVE", "SHARED", "KERNMOUNT",
    "I_VERSION", "SUBMOUNT", "NOREMOTELOCK", "NOSEC", "BORN", "ACTIVE", "NOUSER",
])
@pytest.mark.parametrize("others", [0, mounts.NOSUID | mounts.NODEV])
def test_other_mount_flag_is_refused(attempt, flag, others):
    session = attempt()
    assert session.get_ready().command(protocol.doit(getattr(mounts, flag) | others)) != 0
    session.service.goodbye()
    session.assert_fails()


def test_old_magic_number_of_mount_flags_is_refused(attempt):
    assert attempt().get_ready().command(protocol.doit(0xC0ED0000)) != 0


@pytest.mark.parametrize("options", [[], ["-o", "rw"], ["-o", "exec,atime"]], ids=str)
def test_mount_has_nosuid_and_nodev_by_default(attempt, options):
    session = attempt(*options)
    assert {"nosuid", "nodev"} <= session.mount(flags=0).flags
    session.unmount()


@pytest.mark.parametrize("option, remaining", [("suid", "nodev"), ("dev", "nosuid")])
def test_root_can_enable_suid_and_dev(attempt, option, remaining):
    session = attempt("-o", option)
    assert session.mount(flags=0).flags & {"nosuid", "nodev"} == {remaining}
    session.unmount()


def test_failed_mount_can_be_repeated(attempt):
    session = attempt()
    session.get_ready()
    assert session.service.command(protocol.doit(mounts.BIND)) != 0
    assert session.service.command(protocol.doit()) == 0
    session.finish()
    session.unmount()
