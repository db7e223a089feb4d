# SPDX-License-Identifier: LGPL-2.1-or-later
"""mount.fuse3 uses a service if there is one. Otherwise it starts the server exactly as the program of libfuse does."""

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
def run_program(run, work, record, mountpoint):
    """Run either program by a name. Return its result, what the server recorded, and the mounts."""

    def run_program(program, *arguments, name="mount.fuse3", environment=None, prefix=()):
        link = work / program.name / name
        link.parent.mkdir(exist_ok=True)
        if not link.exists():
            link.symlink_to(program)
        record.write_text("")
        env = {"PATH": f"{work}/bin:/usr/bin:/bin", "HOME": "/home/me", "ODD": "a b'c$d"} | (environment or {})
        env = {key: value for key, value in env.items() if value is not None}
        result = run(*prefix, link, *arguments, env=env, cwd=work).wait()
        mounted = [(mount.type, mount.source, mount.flags, {o for o in mount.options if not o.startswith("fd=")})
                   for mount in mounts.at(mountpoint)]
        for _ in mounted:
            mounts.detach(mountpoint)
        text = record.read_text()
        return result, json.loads(text) if text else None, mounted

    return run_program


COMMAND_LINES = {
    "type#source": ["recorder#SOURCE", "MOUNTPOINT"],
    "type# without source": ["recorder#", "MOUNTPOINT"],
    "type": ["recorder", "MOUNTPOINT"],
    "-t": ["SOURCE", "MOUNTPOINT", "-t", "recorder"],
    "-t fuse.": ["SOURCE", "MOUNTPOINT", "-t", "fuse.recorder"],
    "-t fuseblk.": ["SOURCE", "MOUNTPOINT", "-t", "fuseblk.recorder"],
    "source with hash": ["a#b", "MOUNTPOINT", "-t", "recorder"],
    "empty source": ["", "MOUNTPOINT", "-t", "recorder"],
    "relative paths": ["recorder#source.img", "mnt"],
    "-o": ["recorder#SOURCE", "MOUNTPOINT", "-o", "ro,allow_other,mine=1"],
    "two -o": ["recorder#SOURCE", "MOUNTPOINT", "-o", "ro", "-o", "mine"],
    "nodev and nosuid": ["recorder#SOURCE", "MOUNTPOINT", "-o", "rw,nosuid,nodev"],
    "dev and suid": ["recorder#SOURCE", "MOUNTPOINT", "-o", "suid,dev"],
    "nosuid alone": ["recorder#SOURCE", "MOUNTPOINT", "-o", "nosuid"],
    "options of mount(8)": ["recorder#SOURCE", "MOUNTPOINT", "-o", "user,users,nouser,auto,noauto,nofail,_netdev,mine"],
    "user with value": ["recorder#SOURCE", "MOUNTPOINT", "-o", "user=joe:secret"],
    "escaped comma": ["recorder#SOURCE", "MOUNTPOINT", "-o", r"subdir=a\,b,ro"],
    "shell metacharacters": ["recorder#$(id) 'x' \"y\" `z`; *", "MOUNTPOINT", "-o", "a=$HOME,b='"],
    "newline": ["recorder#a\nb", "MOUNTPOINT"],
    "-s -n -v": ["recorder#SOURCE", "MOUNTPOINT", "-s", "-n", "-v", "-o", "ro"],
    "setuid": ["recorder#SOURCE", "MOUNTPOINT", "-o", "setuid=nobody"],
    "empty setuid": ["recorder#SOURCE", "MOUNTPOINT", "-o", "setuid="],
    "drop_privileges": ["recorder#SOURCE", "MOUNTPOINT", "-o", "drop_privileges"],
    "drop_privileges, nosuid": ["recorder#SOURCE", "MOUNTPOINT", "-o", "drop_privileges,nosuid,nodev,ro,allow_other"],
    "drop_privileges and setuid": ["recorder#SOURCE", "MOUNTPOINT", "-o", "drop_privileges,setuid=nobody"],
}


def replace_placeholders(arguments, source, mountpoint):
    return [argument.replace("SOURCE", str(source)).replace("MOUNTPOINT", str(mountpoint)) for argument in arguments]


def assert_same_result(run_program, arguments, **options):
    reference, result = run_program(DEBIAN, *arguments, **options), run_program(FSVC, *arguments, **options)
    assert reference[0].code == result[0].code == 0, (reference[0], result[0])
    assert reference[1] and reference[1] == result[1]
    assert reference[2] == result[2]


@pytest.mark.parametrize("arguments", COMMAND_LINES.values(), ids=COMMAND_LINES)
def test_server_is_started_as_by_libfuse(run_program, source, mountpoint, arguments):
    assert_same_result(run_program, replace_placeholders(arguments, source, mountpoint))


# All options in mount.fuse3(8) of libfuse. Two of them are for block devices only.
OPTIONS = ["ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "atime", "noatime", "sync", "async",
           "dirsync", "default_permissions", "allow_other", "rootmode=40755", "max_read=4096", "fd=3", "user_id=1",
           "group_id=1", "fsname=a name", "subtype=another", "allow_root", "kernel_cache", "auto_cache", "umask=022",
           "uid=1", "gid=1", "entry_timeout=2.8", "negative_timeout=1", "attr_timeout=1", "ac_attr_timeout=1",
           "noforget", "remember=1", "modules=iconv:subdir", "from_code=UTF-8", "to_code=UTF-8", "subdir=/",
           "rellinks", "norellinks"]
BLOCK_DEVICE_OPTIONS = ["blkdev", "blksize=512"]


@pytest.mark.parametrize("option", [*OPTIONS, *BLOCK_DEVICE_OPTIONS, "auto_unmount"])
def test_documented_option_reaches_server_as_with_libfuse(run_program, source, mountpoint, option):
    assert_same_result(run_program, [f"recorder#{source}", mountpoint, "-o", option])


@pytest.mark.parametrize("option", OPTIONS)
def test_documented_option_gives_same_mount_as_with_libfuse(run_program, source, mountpoint, option):
    assert_same_result(run_program, [f"recorder#{source}", mountpoint, "-o", f"drop_privileges,{option}"])


@pytest.mark.parametrize("option", BLOCK_DEVICE_OPTIONS)
def test_option_for_block_devices_fails_for_file(run_program, source, mountpoint, option):
    arguments = f"recorder#{source}", mountpoint, "-o", f"drop_privileges,{option}"
    assert all(result.code and not seen and not mounted
               for result, seen, mounted in (run_program(program, *arguments) for program in (DEBIAN, FSVC)))


def test_mount_with_auto_unmount_has_nosuid_and_nodev(run_program, source, mountpoint):
    """auto_unmount is a feature of libfuse, which fsvc ignores."""
    (mount,) = run_program(FSVC, f"recorder#{source}", mountpoint, "-o", "drop_privileges,auto_unmount,dev,suid")[2]
    assert {"nosuid", "nodev"} <= mount[2]


def test_block_device_gives_same_mount_as_with_libfuse(run_program, loop, mountpoint):
    options = f"drop_privileges,{','.join(BLOCK_DEVICE_OPTIONS)},fsname={loop}"
    assert_same_result(run_program, [f"recorder#{loop}", mountpoint, "-o", options])


@pytest.mark.parametrize("name", ["mount.fuse.recorder", "mount.fuseblk.recorder"])
def test_type_can_be_in_program_name(run_program, source, mountpoint, name):
    assert_same_result(run_program, [source, mountpoint, "-o", "ro"], name=name)


def test_type_can_be_in_program_name_of_fsvc(run_program, source, mountpoint):
    assert run_program(FSVC, source, mountpoint, name="mount.fuse3.recorder")[1]["argv"][1] == str(source)


@pytest.mark.parametrize("environment", [{"HOME": None}, {"PWD": "/nowhere"}, {"HOME": ""}], ids=str)
def test_environment_of_server_is_same_as_with_libfuse(run_program, source, mountpoint, environment):
    assert_same_result(run_program, [f"recorder#{source}", mountpoint], environment=environment)


def test_server_of_user_is_started_as_by_libfuse(run_program, source, mountpoint):
    assert_same_result(run_program, [f"recorder#{source}", mountpoint], prefix=AS_NOBODY)


def test_signals_of_server_are_same_as_with_libfuse(run_program, source, mountpoint):
    prefix = ["env", "--ignore-signal=CHLD,HUP,INT,USR1", "--block-signal=USR2"]
    assert_same_result(run_program, [f"recorder#{source}", mountpoint], prefix=prefix)


def test_server_is_started_in_user_namespace(run_program, listen, source, mountpoint):
    """The sockets belong to nobody there, and are therefore not trusted."""
    listen("recorder", mode=0o666)
    arguments, prefix = [f"recorder#{source}", mountpoint], [*AS_NOBODY, "unshare", "-Urm"]
    assert_same_result(run_program, arguments, prefix=prefix)
    failed, seen, _ = run_program(FSVC, *arguments, "-o", "fsvc=require", prefix=prefix)
    assert failed.code == MOUNT_FAILED and failed.one_line() and not seen


def test_server_is_found_without_path_variable(run_program, source, mountpoint, work):
    with mounts.tmpfs("/usr/local/sbin"):
        shutil.copy(work / "bin" / "recorder", "/usr/local/sbin")
        assert_same_result(run_program, [f"recorder#{source}", mountpoint], environment={"PATH": None})


@pytest.mark.parametrize("option", ["x-systemd.automount", "x-a=b", "comment=c", "fsvc=never"])
def test_options_for_other_programs_are_not_passed_on(run_program, source, mountpoint, option):
    seen = run_program(FSVC, f"recorder#{source}", mountpoint, "-o", f"{option},mine")[1]
    assert seen["argv"][3:5] == ["-o", "mine,dev,suid"]


# services


@pytest.mark.parametrize("options", [[], ["-o", "fsvc=require"]], ids=str)
def test_service_is_used_if_it_exists(start, source, mountpoint, record, options):
    session = start(command=(FSVC, "mount.fuse3"),
                  arguments=[source, mountpoint, "-t", "fuse.toy", *options, "-o", "setuid=root,mine"])
    session.handshake()
    assert not any(b"fsvc=" in os.fsencode(argument) or b"setuid" in os.fsencode(argument) for argument in session.arguments)
    session.mount()
    session.unmount()


@pytest.fixture
def start_for_nobody(start, set_user_id, listen, source, mountpoint):
    """Start mount.fuse3 as root with setuid=nobody, with a service that this user can use."""
    return start(command=(FSVC, "mount.fuse3"), listener=listen(mode=0o222),
                 arguments=[source, mountpoint, "-t", "fuse.toy", "-o", "setuid=nobody"])


def test_mount_with_setuid_option_belongs_to_that_user(start_for_nobody, mountpoint):
    start_for_nobody.handshake()
    mount = start_for_nobody.mount()
    assert f"user_id={NOBODY}" in mount.options
    entry, = utab.entries_of(mountpoint)
    assert "user=nobody" in entry["OPTS"].split(",")
    start_for_nobody.unmount()


def test_root_with_setuid_option_opens_only_files_of_that_user(start_for_nobody, source):
    os.chown(source, 0, 0)
    source.chmod(0o600)
    start_for_nobody.handshake()
    assert start_for_nobody.service.open(str(source)).error == errno.EACCES
    start_for_nobody.service.hang_up()
    assert start_for_nobody.helper.wait().code == MOUNT_FAILED


def test_service_that_user_of_setuid_option_cannot_use_is_ignored(run_program, listen, source, mountpoint):
    listener = listen("recorder", mode=0o220)
    for options in "setuid=nobody", "setuid=nobody,drop_privileges":
        assert_same_result(run_program, [f"recorder#{source}", mountpoint, "-o", options])
    assert not listener.waits()


def test_socket_without_listener_is_ignored_with_setuid_option(run_program, listen, source, mountpoint):
    listen("recorder", mode=0o222).socket.close()
    os.chown(mountpoint, NOBODY, NOBODY)
    assert_same_result(run_program, [f"recorder#{source}", mountpoint, "-o", "setuid=nobody,drop_privileges"],
                 prefix=["env", "--ignore-signal=CHLD"])


def test_child_process_ends_with_parent_when_mounting_for_user(start_for_nobody):
    start_for_nobody.handshake()
    start_for_nobody.helper.signal(signal.SIGTERM)
    start_for_nobody.helper.process.wait(10)
    assert start_for_nobody.service.has_ended()


def test_failure_of_service_is_failed_mount(start, source, mountpoint):
    session = start(command=(FSVC, "mount.fuse3"), arguments=[f"toy#{source}", mountpoint])
    session.connect().hang_up()
    assert session.helper.wait().code == MOUNT_FAILED


def test_fsvc_never_ignores_service(run_program, listen, source, mountpoint):
    listener = listen("recorder")
    assert run_program(FSVC, f"recorder#{source}", mountpoint, "-o", "fsvc=never")[1]
    assert not listener.waits()


def test_fsvc_require_does_not_start_server(run_program, source, mountpoint):
    result, seen, _ = run_program(FSVC, f"recorder#{source}", mountpoint, "-o", "fsvc=require")
    assert (result.code, seen) == (MOUNT_FAILED, None)
    assert "recorder" in result.one_line()


def test_service_that_caller_cannot_use_is_ignored(run_program, listen, source, mountpoint):
    listener = listen("recorder", mode=0o220)
    assert run_program(FSVC, f"recorder#{source}", mountpoint, prefix=AS_NOBODY)[1]
    assert not listener.waits()


def test_socket_without_listener_does_not_affect_server(run_program, listen, source, mountpoint):
    arguments, prefix = (f"recorder#{source}", mountpoint), ["env", "--ignore-signal=ALRM,USR1,HUP", "--block-signal=USR2"]
    without = run_program(FSVC, *arguments, prefix=prefix)[1]
    listen("recorder").socket.close()
    assert run_program(FSVC, *arguments, prefix=prefix)[1] == without != run_program(FSVC, *arguments)[1]


def test_socket_of_other_user_is_failure(run_program, listen, source, mountpoint):
    """Otherwise another user could make the server run without a sandbox."""
    listener = listen("recorder")
    os.chown(f"{SOCKETS}/recorder", 65534, 0)
    result, seen, mounted = run_program(FSVC, f"recorder#{source}", mountpoint)
    assert (result.code, seen, mounted) == (MOUNT_FAILED, None, [])
    assert "not a socket owned by root" in result.one_line()
    assert not listener.waits()


@pytest.mark.parametrize("options", [["-f"], ["-sfnv"]], ids=str)
def test_fake_mount_does_nothing(run_program, listen, source, mountpoint, options):
    listener = listen("recorder")
    result, seen, mounted = run_program(FSVC, f"recorder#{source}", mountpoint, *options)
    assert (result.code, result.errors, seen, mounted) == (0, "", None, [])
    assert not listener.waits()


@pytest.mark.parametrize("arguments", [
    [], ["a"], ["#a", "/mnt"], ["", "/mnt"], ["a", "/mnt", "-t"], ["a", "/mnt", "-t", ""], ["a", "/mnt", "-o", "fsvc=x"],
], ids=str)
def test_usage_errors(run_program, arguments):
    result = run_program(FSVC, *arguments)[0]
    assert result.code == USAGE
    assert result.usage_error()


@pytest.mark.parametrize("arguments", [["-N", "/nowhere"], ["-o", "setuid=no such user"]], ids=str)
def test_unknown_namespace_or_user_is_a_usage_failure(run_program, arguments):
    result = run_program(FSVC, "a#b", "/mnt", *arguments)[0]
    assert result.code == USAGE
    assert result.one_line()


def test_missing_server_is_failed_mount(run_program, source, mountpoint):
    result = run_program(FSVC, f"no-such-server#{source}", mountpoint)[0]
    assert result.code == MOUNT_FAILED
    assert "no-such-server" in result.one_line()


def test_mount_namespace_is_entered_first(run_program, source, mountpoint):
    other = subprocess.Popen(["unshare", "-m", "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        arguments = [f"recorder#{source}", mountpoint, "-o", "drop_privileges", "-N", str(other.pid)]
        result, seen, mounted = run_program(FSVC, *arguments)
        assert (result.code, mounted) == (0, [])
        assert seen and len(mounts.at(mountpoint, other.pid)) == 1
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
