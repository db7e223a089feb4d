# SPDX-License-Identifier: LGPL-2.1-or-later
"""The program that servers call to mount stands in for fusermount3: fsvc-open answers it like the server itself."""

import json
import os
import signal
import subprocess

import pytest

from kit import mounts, protocol
from kit.broker_fixtures import answer, answer_all, hidden, python, server, source, told  # noqa: F401: fixtures
from kit.build_options import FSVC

# As Go's libraries and libfuse call it, once by each kind of socket that they use.
CALL = """
    import socket, subprocess
    def fusermount(*words, kind=socket.SOCK_STREAM, name="fusermount3"):
        here, there = socket.socketpair(socket.AF_UNIX, kind)
        done = subprocess.run([FSVC, name, *words], env={"_FUSE_COMMFD": str(there.fileno())}, capture_output=True,
                              pass_fds=[there.fileno()], text=True)
        there.close()
        data, devices, _, _ = socket.recv_fds(here, 16, 4) if done.returncode == 0 else (b"", [], 0, 0)
        return done, data, devices
"""


def call(text):
    return f"    FSVC = {str(FSVC)!r}\n{CALL}{text}"


@pytest.fixture
def unmounted(mountpoint, closing):
    """A mountpoint that is free afterwards."""
    yield mountpoint
    if mounts.at(mountpoint):
        mounts.detach(mountpoint)


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_SEQPACKET", "SOCK_DGRAM"])
@pytest.mark.parametrize("name", ["fusermount3", "fusermount"])
def test_a_server_that_calls_fusermount_is_mounted(python, unmounted, source, kind, name):
    helper = python(call(f"""
    done, data, devices = fusermount("--", MOUNTPOINT, kind=socket.{kind}, name={name!r})
    assert devices, done
    serve(devices[0])
    tell([done.stderr, len(data), len(devices)])
    import signal
    signal.pause()
    """))
    helper.really_mount(helper.commands_until("DOIT"))
    helper.send(protocol.reply())
    assert answer_all(helper, source)[-1].numbers == (0,)
    assert mounts.at(unmounted)
    helper.hang_up()
    helper.server.signal(signal.SIGTERM)
    assert helper.server.exit_code() == 128 + signal.SIGTERM
    assert json.loads(helper.server.output()[0]) == ["", 1, 1]


ORDERS = {
    "as libfuse": "'-o', OPTIONS, '--', MOUNTPOINT",
    "as go-fuse": "MOUNTPOINT, '-o', OPTIONS",
    "in one word": "'-o' + OPTIONS, MOUNTPOINT",
    "in several": "'-o', 'ro,nosuid', '-o', 'nodev,noatime,fsname=x,subtype=y,max_read=4096,auto_unmount', MOUNTPOINT",
    "relative": "'-o', OPTIONS, os.chdir(MOUNTPOINT) or '.'",
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_its_options_are_the_servers(told, mountpoint, order):
    found, asked = told(call(f"""
    OPTIONS = "ro,nosuid,nodev,noatime,fsname=x,subtype=y,max_read=4096,auto_unmount"
    done, data, devices = fusermount({order})
    tell([done.stderr, len(devices)])
    """))
    assert found == ["", 1]
    commands = {command.name: command for command in asked}
    assert commands["DOIT"].numbers[0] == mounts.RDONLY | mounts.NOSUID | mounts.NODEV | 0x400
    assert os.fsdecode(commands["OPTS"].text) == "max_read=4096"
    assert os.fsdecode(commands["MNTP"].text) == str(mountpoint)


def test_it_mounts_nowhere_else(told):
    found, asked = told(call("""
    done, data, devices = fusermount("/mnt")
    tell([done.returncode, done.stderr])
    """))
    assert found == [1, "fusermount3: /mnt: cannot mount: Operation not permitted\n"]
    assert "DOIT" not in [command.name for command in asked]


@pytest.mark.parametrize("words", ["'-u'", "'-u', '-z', '-q', '--'", "'-uz'", "'--unmount', '--lazy'"])
def test_unmounting_by_it_is_left_to_the_person(told, words):
    found, asked = told(call(f"""
    done, data, devices = fusermount("--", MOUNTPOINT)
    ended = subprocess.run([FSVC, "fusermount3", {words}, MOUNTPOINT], capture_output=True, text=True)
    tell([ended.returncode, ended.stdout, ended.stderr])
    """))
    assert found == [0, "", ""]
    assert "UMNT" not in [command.name for command in asked]


def test_go_looks_into_its_own_mount(told):
    """go-fuse opens and polls a file there before it serves; others are not there."""
    found, _ = told("""
    import select
    device = os.open(MOUNTPOINT + "/.go-fuse-epoll-hack", os.O_RDONLY)
    poll = select.poll()
    poll.register(device)
    tell([len(poll.poll(0)), attempt(os.open, MOUNTPOINT + "/.go-fuse", os.O_RDONLY),
          attempt(os.open, MOUNTPOINT + "/x/.go-fuse-epoll-hack", os.O_RDONLY)])
    """)
    assert found == [1, "ENOENT", "ENOENT"]


def test_the_server_finds_it_first(told):
    found, _ = told("    tell(os.environ['PATH'].split(':')[0])")
    assert found.endswith("/libexec/fsvc/bin")


# where there is no server, and nobody who answers


def called(*words, **environment):
    return subprocess.run([FSVC, "fusermount3", *words], env=environment, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, preexec_fn=lambda: os.setuid(65534))


WRONG = {
    "no socket": ({}, ["/mnt"], "_FUSE_COMMFD: environment variable not set: only FUSE servers can run this program"),
    "an empty socket": ({"_FUSE_COMMFD": ""}, ["/mnt"], "_FUSE_COMMFD: invalid file descriptor ''"),
    "no number": ({"_FUSE_COMMFD": "3x"}, ["/mnt"], "_FUSE_COMMFD: invalid file descriptor '3x'"),
    "a negative one": ({"_FUSE_COMMFD": "-1"}, ["/mnt"], "_FUSE_COMMFD: invalid file descriptor '-1'"),
    "one too large": ({"_FUSE_COMMFD": "99999999999"}, ["/mnt"], "_FUSE_COMMFD: invalid file descriptor '99999999999'"),
    "not mounted": ({}, ["-u", "/mnt"], "/mnt: cannot unmount: Operation not permitted"),
}


@pytest.mark.parametrize("environment, words, reason", WRONG.values(), ids=WRONG)
def test_it_says_what_is_wrong(environment, words, reason):
    done = called(*words, **environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(f": {reason}\n") and done.stderr.count("\n") == 1


WRONG_USAGE = {
    "no mountpoint": ([], "missing operand"),
    "two mountpoints": (["/a", "/b"], "extra operand '/b'"),
    "unknown option": (["-x", "/mnt"], "invalid option -- 'x'"),
    "unknown long option": (["--foo", "/mnt"], "unrecognized option '--foo'"),
    "no options": (["/mnt", "-o"], "option '-o' requires an argument"),
    "value for a flag": (["--quiet=1", "/mnt"], "option '--quiet' doesn't allow an argument"),
}


@pytest.mark.parametrize("words, problem", WRONG_USAGE.values(), ids=WRONG_USAGE)
def test_usage_error_refers_to_help(words, problem):
    done = called(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"fusermount3: {problem}\nTry 'fusermount3 --help' for more information.\n"


def test_quietly_it_says_nothing():
    done = called("-u", "-q", "/mnt")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_it_mounts_nothing_for_who_may_not_mount():
    done = called("/tmp", _FUSE_COMMFD="0")
    assert done.returncode == 1 and "cannot" in done.stderr


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_it_tells_its_version(word):
    done = called(word)
    assert done.returncode == 0 and done.stdout.startswith("fsvc ")
