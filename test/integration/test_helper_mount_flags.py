# SPDX-License-Identifier: LGPL-2.1-or-later
"""The flags of DOIT: the service sets harmless ones, and no flag that could change another mount."""


import pytest

from kit import mounts, protocol


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
