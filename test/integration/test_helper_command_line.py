# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the helper is called, which sockets it trusts, and what its exit codes say."""

import os
import socket

import pytest

from kit import mounts
from kit.exit_status import FAILED, NO_SERVICE
from kit.fake_service import HELPER, SOCKETS
from kit.programs import AS_NOBODY, NOBODY


@pytest.fixture
def helper(run):
    """The helper's whole run on a command line."""
    return lambda *arguments, **options: run(*HELPER, *arguments, **options).wait()


@pytest.fixture
def call(helper, source, mountpoint):
    """The same, on the source, the mountpoint and a type."""
    return lambda kind="fuse.toy", *words, **options: helper(source, mountpoint, "-t", kind, *words, **options)


def assert_is_left_alone(listener):
    """Nobody came to this socket."""
    with pytest.raises(TimeoutError):
        listener.accept(patience=0.2)


# no service


def test_without_a_socket_there_is_no_service(call):
    assert call().code == NO_SERVICE


def test_a_socket_where_nobody_listens_is_no_service(call, closing):
    abandoned = closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    abandoned.bind(f"{SOCKETS}/toy")
    try:
        result = call()
    finally:
        os.unlink(f"{SOCKETS}/toy")
    assert result.code == NO_SERVICE


def test_a_socket_of_another_type_is_no_service(call, listen):
    listener = listen("toy")
    assert call("fuse.toy2").code == call("fuse.to").code == NO_SERVICE
    assert_is_left_alone(listener)


def test_without_its_directory_there_is_no_service(call):
    with mounts.tmpfs("/run"):
        result = call()
    assert result.code == NO_SERVICE


@pytest.mark.parametrize("kind", [
    "", "fuse.", "fuseblk.", "fuse..", "fuse...", ".", "..", "fuse.a/b", "a/b", "/", "/run/filesystems/toy",
    "fuse.../filesystems/toy", "fuse." + "x" * 200, "x" * 5000,
], ids=lambda kind: kind[:30])
def test_a_type_that_cannot_name_a_socket_is_refused(call, listen, kind):
    listener = listen()
    result = call(kind)
    assert result.code in (FAILED, NO_SERVICE)
    assert result.code == NO_SERVICE or "File name too long" in result.errors or result.usage_error()
    assert_is_left_alone(listener)


# wrong command lines


@pytest.mark.parametrize("words", [
    [], ["-t"], ["-t", "fuse.toy"], ["/dev/null"], ["/dev/null", "-t", "fuse.toy"], ["/dev/null", "/mnt"],
    ["/dev/null", "/mnt", "-t"], ["/dev/null", "/mnt", "-t", "fuse.toy", "-o"], ["--check"],
    ["/dev/null", "/mnt", "/third", "-t", "fuse.toy"], ["/dev/null", "/mnt", "-t", "fuse.toy", "-t", "fuse.two"],
], ids=" ".join)
def test_a_command_line_that_makes_no_sense_is_refused_in_one_line(helper, listen, words):
    listener = listen()
    result = helper(*words)
    assert result.code == FAILED
    assert result.code == NO_SERVICE or "File name too long" in result.errors or result.usage_error()
    assert_is_left_alone(listener)


def test_a_missing_mountpoint_is_named(start, work):
    begun = start(mountpoint=work / "nowhere")
    begun.fails_in_one_line(work / "nowhere")


def test_a_mountpoint_with_control_characters_is_shown_escaped(start, work):
    begun = start(mountpoint=f"{work}/no\x1b[2Jwhere")
    begun.fails_in_one_line(r"no\x1b[2Jwhere")


# --check


def test_a_check_finds_a_service_and_says_nothing(helper, listen):
    listener = listen()
    result = helper("-t", "fuse.toy", "--check")
    assert (result.code, result.output, result.errors) == (0, "", "")
    assert_is_left_alone(listener)


@pytest.mark.parametrize("kind", ["fuse.toy2", "to", "fuse.", "../toy", "", "x" * 300])
def test_a_check_for_a_service_that_is_not_there_fails_and_says_nothing(helper, listen, kind):
    listen()
    result = helper("-t", kind, "--check")
    assert (result.code, result.output, result.errors) == (FAILED, "", "")


def test_a_check_fails_for_a_caller_who_may_not_write_to_the_socket(run, listen):
    listen(mode=0o220)
    assert run(*AS_NOBODY, *HELPER, "-t", "fuse.toy", "--check").wait().code == FAILED


def test_a_check_succeeds_for_a_caller_who_may_write_to_the_socket(run, listen):
    listen(mode=0o222)
    assert run(*AS_NOBODY, *HELPER, "-t", "fuse.toy", "--check").wait().code == 0


def test_a_check_wants_a_socket_and_not_any_file(helper):
    with open(f"{SOCKETS}/plain", "w"):
        result = helper("-t", "fuse.plain", "--check")
    os.unlink(f"{SOCKETS}/plain")
    assert result.code == FAILED


# whom the helper trusts


NEIGHBOURS = {
    "a socket of somebody else": lambda: os.chown(f"{SOCKETS}/toy", NOBODY, 0),
    "a directory of somebody else": lambda: os.chown(SOCKETS, NOBODY, 0),
    "a directory that its group writes": lambda: os.chmod(SOCKETS, 0o775),
    "a directory that everybody writes": lambda: os.chmod(SOCKETS, 0o1777),
}


@pytest.mark.parametrize("spoil", NEIGHBOURS.values(), ids=NEIGHBOURS)
def test_a_socket_that_a_neighbour_could_have_made_is_not_trusted(call, listen, spoil):
    listener = listen()
    spoil()
    try:
        result = call()
    finally:
        os.chmod(SOCKETS, 0o755)
        os.chown(SOCKETS, 0, 0)
    assert result.code == FAILED
    assert "root" in result.one_line()
    assert_is_left_alone(listener)


def test_a_socket_of_somebody_else_is_not_trusted_through_a_symlink(call, listen):
    elsewhere = listen("real")
    os.chown(elsewhere.path, NOBODY, 0)
    os.symlink("real", f"{SOCKETS}/toy")
    try:
        assert call().code == FAILED
    finally:
        os.unlink(f"{SOCKETS}/toy")
    assert_is_left_alone(elsewhere)
