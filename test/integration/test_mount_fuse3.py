# SPDX-License-Identifier: LGPL-2.1-or-later
"""mount.fuse3: a service first, and without one exactly what libfuse's program does."""

import errno
import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from kit import mounts, utab
from kit.exit_status import MOUNT_FAILED, USAGE
from kit.fake_service import SOCKETS
from kit.build_options import FSVC
from kit.programs import AS_NOBODY, NOBODY
from kit.program_recorder import install_recorder
from kit.unprivileged_user import fuse_conf, set_user_id  # noqa: F401, fixtures

DEBIAN = pathlib.Path("/sbin/mount.fuse3")

RECORDER = """#!/usr/bin/python3 -I
import ctypes, json, os
status = dict(line.rstrip("\\n").split(":\\t", 1) for line in open("/proc/self/status"))
kept = "Uid Gid Groups CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs SigBlk SigIgn".split()
json.dump({
    "argv": open("/proc/self/cmdline").read().split("\\0")[2:], "cwd": os.getcwd(),
    "environment": dict(os.environ), "securebits": ctypes.CDLL(None).prctl(27, 0, 0, 0, 0),
    "descriptors": [fd for fd in range(3, 20) if os.path.exists(f"/proc/self/fd/{fd}")
                    and os.readlink(f"/proc/self/fd/{fd}") == "/dev/fuse"],
    "umask": status["Umask"], **{name: status[name] for name in kept},
}, open(RECORD, "w"))
"""


@pytest.fixture
def record(work):
    return install_recorder(work, RECORDER)


@pytest.fixture
def called(run, work, record, mountpoint):
    """Calls either program by a name: its exit code, and what the server has recorded."""

    def called(program, *words, name="mount.fuse3", environment=None, prefix=()):
        link = work / program.name / name
        link.parent.mkdir(exist_ok=True)
        if not link.exists():
            link.symlink_to(program)
        record.write_text("")
        env = {"PATH": f"{work}/bin:/usr/bin:/bin", "HOME": "/home/me", "ODD": "a b'c$d"} | (environment or {})
        env = {key: value for key, value in env.items() if value is not None}
        result = run(*prefix, link, *words, env=env, cwd=work).wait()
        mounted = [(mount.type, mount.source, mount.flags, {o for o in mount.options if not o.startswith("fd=")})
                   for mount in mounts.at(mountpoint)]
        for _ in mounted:
            mounts.detach(mountpoint)
        text = record.read_text()
        return result, json.loads(text) if text else None, mounted

    return called


ALIKE = {
    "type#source": ["recorder#SOURCE", "MOUNTPOINT"],
    "type# without a source": ["recorder#", "MOUNTPOINT"],
    "type alone": ["recorder", "MOUNTPOINT"],
    "-t": ["SOURCE", "MOUNTPOINT", "-t", "recorder"],
    "-t fuse.": ["SOURCE", "MOUNTPOINT", "-t", "fuse.recorder"],
    "-t fuseblk.": ["SOURCE", "MOUNTPOINT", "-t", "fuseblk.recorder"],
    "a source with a hash": ["a#b", "MOUNTPOINT", "-t", "recorder"],
    "an empty source": ["", "MOUNTPOINT", "-t", "recorder"],
    "relative paths": ["recorder#source.img", "mnt"],
    "-o": ["recorder#SOURCE", "MOUNTPOINT", "-o", "ro,allow_other,mine=1"],
    "two -o": ["recorder#SOURCE", "MOUNTPOINT", "-o", "ro", "-o", "mine"],
    "nodev and nosuid": ["recorder#SOURCE", "MOUNTPOINT", "-o", "rw,nosuid,nodev"],
    "dev and suid": ["recorder#SOURCE", "MOUNTPOINT", "-o", "suid,dev"],
    "nosuid alone": ["recorder#SOURCE", "MOUNTPOINT", "-o", "nosuid"],
    "mount(8)'s own": ["recorder#SOURCE", "MOUNTPOINT", "-o", "user,users,nouser,auto,noauto,nofail,_netdev,mine"],
    "user with a value": ["recorder#SOURCE", "MOUNTPOINT", "-o", "user=joe:secret"],
    "an escaped comma": ["recorder#SOURCE", "MOUNTPOINT", "-o", r"subdir=a\,b,ro"],
    "words that a shell reads": ["recorder#$(id) 'x' \"y\" `z`; *", "MOUNTPOINT", "-o", "a=$HOME,b='"],
    "a newline": ["recorder#a\nb", "MOUNTPOINT"],
    "-s -n -v": ["recorder#SOURCE", "MOUNTPOINT", "-s", "-n", "-v", "-o", "ro"],
    "setuid": ["recorder#SOURCE", "MOUNTPOINT", "-o", "setuid=nobody"],
    "setuid to nobody at all": ["recorder#SOURCE", "MOUNTPOINT", "-o", "setuid="],
    "drop_privileges": ["recorder#SOURCE", "MOUNTPOINT", "-o", "drop_privileges"],
    "drop_privileges, nosuid": ["recorder#SOURCE", "MOUNTPOINT", "-o", "drop_privileges,nosuid,nodev,ro,allow_other"],
    "drop_privileges and setuid": ["recorder#SOURCE", "MOUNTPOINT", "-o", "drop_privileges,setuid=nobody"],
}


def filled(words, source, mountpoint):
    return [word.replace("SOURCE", str(source)).replace("MOUNTPOINT", str(mountpoint)) for word in words]


def assert_alike(called, words, **how):
    theirs, ours = called(DEBIAN, *words, **how), called(FSVC, *words, **how)
    assert theirs[0].code == ours[0].code == 0, (theirs[0], ours[0])
    assert theirs[1] and theirs[1] == ours[1]
    assert theirs[2] == ours[2]


@pytest.mark.parametrize("words", ALIKE.values(), ids=ALIKE)
def test_a_server_is_started_as_libfuse_starts_it(called, source, mountpoint, words):
    assert_alike(called, filled(words, source, mountpoint))


# Each option of libfuse's mount.fuse3(8); two mean something for a block device alone.
OPTIONS = ["ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "atime", "noatime", "sync", "async",
           "dirsync", "default_permissions", "allow_other", "rootmode=40755", "max_read=4096", "fd=3", "user_id=1",
           "group_id=1", "fsname=a name", "subtype=another", "allow_root", "kernel_cache", "auto_cache", "umask=022",
           "uid=1", "gid=1", "entry_timeout=2.8", "negative_timeout=1", "attr_timeout=1", "ac_attr_timeout=1",
           "noforget", "remember=1", "modules=iconv:subdir", "from_code=UTF-8", "to_code=UTF-8", "subdir=/",
           "rellinks", "norellinks"]
OF_BLOCK_DEVICES = ["blkdev", "blksize=512"]


@pytest.mark.parametrize("option", [*OPTIONS, *OF_BLOCK_DEVICES, "auto_unmount"])
def test_each_documented_option_reaches_a_server_alike(called, source, mountpoint, option):
    assert_alike(called, [f"recorder#{source}", mountpoint, "-o", option])


@pytest.mark.parametrize("option", OPTIONS)
def test_each_documented_option_means_the_same_for_the_mount(called, source, mountpoint, option):
    assert_alike(called, [f"recorder#{source}", mountpoint, "-o", f"drop_privileges,{option}"])


@pytest.mark.parametrize("option", OF_BLOCK_DEVICES)
def test_what_belongs_to_a_block_device_needs_one(called, source, mountpoint, option):
    words = f"recorder#{source}", mountpoint, "-o", f"drop_privileges,{option}"
    assert all(result.code and not seen and not mounted
               for result, seen, mounted in (called(program, *words) for program in (DEBIAN, FSVC)))


def test_no_mount_that_libfuse_would_take_away_by_itself_has_more_rights(called, source, mountpoint):
    """That the mount goes with its server is libfuse's, and not ours."""
    (mount,) = called(FSVC, f"recorder#{source}", mountpoint, "-o", "drop_privileges,auto_unmount,dev,suid")[2]
    assert {"nosuid", "nodev"} <= mount[2]


def test_a_block_device_is_mounted_alike(called, loop, mountpoint):
    options = f"drop_privileges,{','.join(OF_BLOCK_DEVICES)},fsname={loop}"
    assert_alike(called, [f"recorder#{loop}", mountpoint, "-o", options])


@pytest.mark.parametrize("name", ["mount.fuse.recorder", "mount.fuseblk.recorder"])
def test_the_type_may_stand_in_the_programs_name(called, source, mountpoint, name):
    assert_alike(called, [source, mountpoint, "-o", "ro"], name=name)


def test_our_own_name_may_have_a_type_too(called, source, mountpoint):
    assert called(FSVC, source, mountpoint, name="mount.fuse3.recorder")[1]["argv"][1] == str(source)


@pytest.mark.parametrize("environment", [{"HOME": None}, {"PWD": "/nowhere"}, {"HOME": ""}], ids=str)
def test_the_environment_is_the_same(called, source, mountpoint, environment):
    assert_alike(called, [f"recorder#{source}", mountpoint], environment=environment)


def test_a_user_starts_a_server_alike(called, source, mountpoint):
    assert_alike(called, [f"recorder#{source}", mountpoint], prefix=AS_NOBODY)


def test_signals_are_as_a_shell_leaves_them(called, source, mountpoint):
    prefix = ["env", "--ignore-signal=CHLD,HUP,INT,USR1", "--block-signal=USR2"]
    assert_alike(called, [f"recorder#{source}", mountpoint], prefix=prefix)


def test_a_users_own_namespace_has_its_servers(called, listen, source, mountpoint):
    """Root's sockets are nobody's there, and so are no service."""
    listen("recorder", mode=0o666)
    words, prefix = [f"recorder#{source}", mountpoint], [*AS_NOBODY, "unshare", "-Urm"]
    assert_alike(called, words, prefix=prefix)
    failed, seen, _ = called(FSVC, *words, "-o", "fsvc=require", prefix=prefix)
    assert failed.code == MOUNT_FAILED and failed.one_line() and not seen


def test_without_a_path_the_server_is_looked_for_where_a_shell_does(called, source, mountpoint, work):
    with mounts.tmpfs("/usr/local/sbin"):
        shutil.copy(work / "bin" / "recorder", "/usr/local/sbin")
        assert_alike(called, [f"recorder#{source}", mountpoint], environment={"PATH": None})


@pytest.mark.parametrize("option", ["x-systemd.automount", "x-a=b", "comment=c", "fsvc=never"])
def test_what_others_mean_is_not_passed_on(called, source, mountpoint, option):
    seen = called(FSVC, f"recorder#{source}", mountpoint, "-o", f"{option},mine")[1]
    assert seen["argv"][3:5] == ["-o", "mine,dev,suid"]


# a service first


@pytest.mark.parametrize("words", [[], ["-o", "fsvc=require"]], ids=str)
def test_a_service_comes_first(start, source, mountpoint, record, words):
    begun = start(command=(FSVC, "mount.fuse3"),
                  arguments=[source, mountpoint, "-t", "fuse.toy", *words, "-o", "setuid=root,mine"])
    begun.handshake()
    assert not any(b"fsvc=" in os.fsencode(word) or b"setuid" in os.fsencode(word) for word in begun.arguments)
    begun.mount()
    begun.unmount()


@pytest.fixture
def for_nobody(start, set_user_id, listen, source, mountpoint):
    """Root mounts for a user by fstab's setuid=, through a service that the user may use."""
    return start(command=(FSVC, "mount.fuse3"), listener=listen(mode=0o222),
                 arguments=[source, mountpoint, "-t", "fuse.toy", "-o", "setuid=nobody"])


def test_through_a_service_too_the_mount_is_the_users_for_whom_root_makes_it(for_nobody, mountpoint):
    for_nobody.handshake()
    mount = for_nobody.mount()
    assert f"user_id={NOBODY}" in mount.options
    entry, = utab.entries_of(mountpoint)
    assert "user=nobody" in entry["OPTS"].split(",")
    for_nobody.unmount()


def test_root_opens_nothing_that_the_user_may_not_for_whom_it_mounts(for_nobody, source):
    os.chown(source, 0, 0)
    source.chmod(0o600)
    for_nobody.handshake()
    assert for_nobody.service.open(str(source)).error == errno.EACCES
    for_nobody.service.hang_up()
    assert for_nobody.helper.wait().code == MOUNT_FAILED


def test_a_service_that_the_user_may_not_use_is_none_when_root_mounts_for_them(called, listen, source, mountpoint):
    listener = listen("recorder", mode=0o220)
    for options in "setuid=nobody", "setuid=nobody,drop_privileges":
        assert_alike(called, [f"recorder#{source}", mountpoint, "-o", options])
    assert not listener.waits()


def test_a_service_that_nobody_keeps_is_none_when_root_mounts_for_a_user(called, listen, source, mountpoint):
    listen("recorder", mode=0o222).socket.close()
    os.chown(mountpoint, NOBODY, NOBODY)
    assert_alike(called, [f"recorder#{source}", mountpoint, "-o", "setuid=nobody,drop_privileges"],
                 prefix=["env", "--ignore-signal=CHLD"])


def test_who_mounts_for_a_user_ends_with_the_one_who_was_called(for_nobody):
    for_nobody.handshake()
    for_nobody.helper.signal(signal.SIGTERM)
    for_nobody.helper.process.wait(10)
    assert for_nobody.service.has_ended()


def test_a_service_that_fails_is_a_failed_mount(start, source, mountpoint):
    begun = start(command=(FSVC, "mount.fuse3"), arguments=[f"toy#{source}", mountpoint])
    begun.connect().hang_up()
    assert begun.helper.wait().code == MOUNT_FAILED


def test_never_leaves_the_service_alone(called, listen, source, mountpoint):
    listener = listen("recorder")
    assert called(FSVC, f"recorder#{source}", mountpoint, "-o", "fsvc=never")[1]
    assert not listener.waits()


def test_require_starts_no_server(called, source, mountpoint):
    result, seen, _ = called(FSVC, f"recorder#{source}", mountpoint, "-o", "fsvc=require")
    assert (result.code, seen) == (MOUNT_FAILED, None)
    assert "recorder" in result.one_line()


def test_a_service_that_the_caller_may_not_use_is_none(called, listen, source, mountpoint):
    listener = listen("recorder", mode=0o220)
    assert called(FSVC, f"recorder#{source}", mountpoint, prefix=AS_NOBODY)[1]
    assert not listener.waits()


def test_a_service_that_nobody_keeps_leaves_no_trace_in_the_server(called, listen, source, mountpoint):
    words, prefix = (f"recorder#{source}", mountpoint), ["env", "--ignore-signal=ALRM,USR1,HUP", "--block-signal=USR2"]
    without = called(FSVC, *words, prefix=prefix)[1]
    listen("recorder").socket.close()
    assert called(FSVC, *words, prefix=prefix)[1] == without != called(FSVC, *words)[1]


def test_a_socket_of_a_neighbour_starts_no_server(called, listen, source, mountpoint):
    """It would run uncontained, because somebody else wanted it to."""
    listener = listen("recorder")
    os.chown(f"{SOCKETS}/recorder", 65534, 0)
    result, seen, mounted = called(FSVC, f"recorder#{source}", mountpoint)
    assert (result.code, seen, mounted) == (MOUNT_FAILED, None, [])
    assert "not a socket owned by root" in result.one_line()
    assert not listener.waits()


@pytest.mark.parametrize("words", [["-f"], ["-sfnv"]], ids=str)
def test_a_fake_mount_does_nothing(called, listen, source, mountpoint, words):
    listener = listen("recorder")
    result, seen, mounted = called(FSVC, f"recorder#{source}", mountpoint, *words)
    assert (result.code, result.errors, seen, mounted) == (0, "", None, [])
    assert not listener.waits()


@pytest.mark.parametrize("words", [
    [], ["a"], ["#a", "/mnt"], ["", "/mnt"], ["a", "/mnt", "-t"], ["a", "/mnt", "-t", ""], ["a", "/mnt", "-o", "fsvc=x"],
], ids=str)
def test_wrong_usage(called, words):
    result = called(FSVC, *words)[0]
    assert result.code == USAGE
    assert result.usage_error()


@pytest.mark.parametrize("words", [["-N", "/nowhere"], ["-o", "setuid=no such user"]], ids=str)
def test_unknown_namespace_or_user_is_a_usage_failure(called, words):
    result = called(FSVC, "a#b", "/mnt", *words)[0]
    assert result.code == USAGE
    assert result.one_line()


def test_a_server_that_is_not_there_is_a_failed_mount(called, source, mountpoint):
    result = called(FSVC, f"no-such-server#{source}", mountpoint)[0]
    assert result.code == MOUNT_FAILED
    assert "no-such-server" in result.one_line()


def test_a_namespace_is_entered_first(called, source, mountpoint):
    other = subprocess.Popen(["unshare", "-m", "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        words = [f"recorder#{source}", mountpoint, "-o", "drop_privileges", "-N", str(other.pid)]
        result, seen, mounted = called(FSVC, *words)
        assert (result.code, mounted) == (0, [])
        assert seen and len(mounts.at(mountpoint, other.pid)) == 1
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
