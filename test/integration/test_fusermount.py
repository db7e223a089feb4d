# SPDX-License-Identifier: LGPL-2.1-or-later
"""The fusermount3 of servers in the sandbox: fsvc-open answers its system calls like those of the server."""

import json
import os
import signal
import subprocess

import pytest

from kit import mounts, protocol
from kit.broker_fixtures import answer, answer_all, hidden, python, server, source, server_output  # noqa: F401: fixtures
from kit.build_options import FSVC

# A with_fusermount as in Go libraries and libfuse, which use different kinds of sockets.
FUSERMOUNT_FUNCTION = """
    import socket, subprocess
    def fusermount(*arguments, kind=socket.SOCK_STREAM, name="fusermount3"):
        here, there = socket.socketpair(socket.AF_UNIX, kind)
        done = subprocess.run([FSVC, name, *arguments], env={"_FUSE_COMMFD": str(there.fileno())}, capture_output=True,
                              pass_fds=[there.fileno()], text=True)
        there.close()
        data, devices, _, _ = socket.recv_fds(here, 16, 4) if done.returncode == 0 else (b"", [], 0, 0)
        return done, data, devices
"""


def with_fusermount(text):
    return f"    FSVC = {str(FSVC)!r}\n{FUSERMOUNT_FUNCTION}{text}"


@pytest.fixture
def unmounted(mountpoint, closing):
    """A mountpoint that is unmounted after the test."""
    yield mountpoint
    if mounts.at(mountpoint):
        mounts.detach(mountpoint)


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_SEQPACKET", "SOCK_DGRAM"])
@pytest.mark.parametrize("name", ["fusermount3", "fusermount"])
def test_server_can_mount_with_fusermount(python, unmounted, source, kind, name):
    helper = python(with_fusermount(f"""
    done, data, devices = fusermount("--", MOUNTPOINT, kind=socket.{kind}, name={name!r})
    assert devices, done
    serve(devices[0])
    tell([done.stderr, len(data), len(devices)])
    import signal
    signal.pause()
    """))
    helper.make_mount(helper.commands_until("DOIT"))
    helper.send(protocol.reply())
    assert answer_all(helper, source)[-1].numbers == (0,)
    assert mounts.at(unmounted)
    helper.hang_up()
    helper.server.signal(signal.SIGTERM)
    assert helper.server.exit_code() == 128 + signal.SIGTERM
    assert json.loads(helper.server.output()[0]) == ["", 1, 1]


ARGUMENTS = {
    "as libfuse": "'-o', OPTIONS, '--', MOUNTPOINT",
    "as go-fuse": "MOUNTPOINT, '-o', OPTIONS",
    "attached to -o": "'-o' + OPTIONS, MOUNTPOINT",
    "several options": "'-o', 'ro,nosuid', '-o', 'nodev,noatime,fsname=x,subtype=y,max_read=4096,auto_unmount', MOUNTPOINT",
    "relative": "'-o', OPTIONS, os.chdir(MOUNTPOINT) or '.'",
}


@pytest.mark.parametrize("order", ARGUMENTS.values(), ids=ARGUMENTS)
def test_options_are_passed_to_helper(server_output, mountpoint, order):
    found, asked = server_output(with_fusermount(f"""
    OPTIONS = "ro,nosuid,nodev,noatime,fsname=x,subtype=y,max_read=4096,auto_unmount"
    done, data, devices = fusermount({order})
    tell([done.stderr, len(devices)])
    """))
    assert found == ["", 1]
    commands = {command.name: command for command in asked}
    assert commands["DOIT"].numbers[0] == mounts.RDONLY | mounts.NOSUID | mounts.NODEV | 0x400
    assert os.fsdecode(commands["OPTS"].text) == "max_read=4096"
    assert os.fsdecode(commands["MNTP"].text) == str(mountpoint)


def test_fusermount_cannot_mount_elsewhere(server_output):
    found, asked = server_output(with_fusermount("""
    done, data, devices = fusermount("/mnt")
    tell([done.returncode, done.stderr])
    """))
    assert found == [1, "fusermount3: /mnt: cannot mount: Operation not permitted\n"]
    assert "DOIT" not in [command.name for command in asked]


@pytest.mark.parametrize("options", ["'-u'", "'-u', '-z', '-q', '--'", "'-uz'", "'--unmount', '--lazy'"])
def test_unmounting_with_fusermount_has_no_effect(server_output, options):
    found, asked = server_output(with_fusermount(f"""
    done, data, devices = fusermount("--", MOUNTPOINT)
    ended = subprocess.run([FSVC, "fusermount3", {options}, MOUNTPOINT], capture_output=True, text=True)
    tell([ended.returncode, ended.stdout, ended.stderr])
    """))
    assert found == [0, "", ""]
    assert "UMNT" not in [command.name for command in asked]


def test_file_that_go_fuse_polls_in_its_mount_is_emulated(server_output):
    """go-fuse opens and polls this file before it serves the mount. Other files do not exist."""
    found, _ = server_output("""
    import select
    device = os.open(MOUNTPOINT + "/.go-fuse-epoll-hack", os.O_RDONLY)
    poll = select.poll()
    poll.register(device)
    tell([len(poll.poll(0)), attempt(os.open, MOUNTPOINT + "/.go-fuse", os.O_RDONLY),
          attempt(os.open, MOUNTPOINT + "/x/.go-fuse-epoll-hack", os.O_RDONLY)])
    """)
    assert found == [1, "ENOENT", "ENOENT"]


def test_fusermount_of_fsvc_is_first_in_path(server_output):
    found, _ = server_output("    tell(os.environ['PATH'].split(':')[0])")
    assert found.endswith("/libexec/fsvc/bin")


# outside the sandbox


def run_fusermount(*arguments, **environment):
    return subprocess.run([FSVC, "fusermount3", *arguments], env=environment, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, preexec_fn=lambda: os.setuid(65534))


USAGE_ERRORS = {
    "unset socket": ({}, ["/mnt"], "_FUSE_COMMFD: environment variable not set: only FUSE servers can run this program"),
    "empty socket": ({"_FUSE_COMMFD": ""}, ["/mnt"], "_FUSE_COMMFD: invalid file descriptor ''"),
    "invalid number": ({"_FUSE_COMMFD": "3x"}, ["/mnt"], "_FUSE_COMMFD: invalid file descriptor '3x'"),
    "negative number": ({"_FUSE_COMMFD": "-1"}, ["/mnt"], "_FUSE_COMMFD: invalid file descriptor '-1'"),
    "too large number": ({"_FUSE_COMMFD": "99999999999"}, ["/mnt"], "_FUSE_COMMFD: invalid file descriptor '99999999999'"),
    "not mounted": ({}, ["-u", "/mnt"], "/mnt: cannot unmount: Operation not permitted"),
}


@pytest.mark.parametrize("environment, arguments, message", USAGE_ERRORS.values(), ids=USAGE_ERRORS)
def test_error_message_names_reason(environment, arguments, message):
    done = run_fusermount(*arguments, **environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(f": {message}\n") and done.stderr.count("\n") == 1


INVALID_OPTIONS = {
    "missing mountpoint": ([], "missing operand"),
    "two mountpoints": (["/a", "/b"], "extra operand '/b'"),
    "unknown option": (["-x", "/mnt"], "invalid option -- 'x'"),
    "unknown long option": (["--foo", "/mnt"], "unrecognized option '--foo'"),
    "no options": (["/mnt", "-o"], "option '-o' requires an argument"),
    "value for a flag": (["--quiet=1", "/mnt"], "option '--quiet' doesn't allow an argument"),
}


@pytest.mark.parametrize("arguments, message", INVALID_OPTIONS.values(), ids=INVALID_OPTIONS)
def test_usage_error_refers_to_help(arguments, message):
    done = run_fusermount(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"fusermount3: {message}\nTry 'fusermount3 --help' for more information.\n"


def test_quiet_prints_nothing():
    done = run_fusermount("-u", "-q", "/mnt")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_fusermount_needs_permission_to_mount():
    done = run_fusermount("/tmp", _FUSE_COMMFD="0")
    assert done.returncode == 1 and "cannot" in done.stderr


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version_is_printed(option):
    done = run_fusermount(option)
    assert done.returncode == 0 and done.stdout.startswith("fsvc ")
