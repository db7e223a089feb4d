# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command line of the helper, the sockets that it trusts, and its exit status."""

import os
import socket

import pytest

from kit import mounts
from kit.exit_status import FAILED, NO_SERVICE
from kit.fake_service import HELPER, SOCKETS
from kit.programs import AS_NOBODY, NOBODY


@pytest.fixture
def helper(run):
    """Run the helper and return its result."""
    return lambda *arguments, **options: run(*HELPER, *arguments, **options).wait()


@pytest.fixture
def call(helper, source, mountpoint):
    """Run the helper with the source, the mountpoint and a type, and return its result."""
    return lambda kind="fuse.toy", *arguments, **options: helper(source, mountpoint, "-t", kind, *arguments, **options)


def assert_not_connected(listener):
    """Check that no client connects."""
    with pytest.raises(TimeoutError):
        listener.accept(timeout_s=0.2)


# no service


def test_missing_socket_means_no_service(call):
    assert call().code == NO_SERVICE


def test_socket_without_listener_means_no_service(call, closing):
    abandoned = closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    abandoned.bind(f"{SOCKETS}/toy")
    try:
        result = call()
    finally:
        os.unlink(f"{SOCKETS}/toy")
    assert result.code == NO_SERVICE


def test_socket_of_other_type_is_not_used(call, listen):
    listener = listen("toy")
    assert call("fuse.toy2").code == call("fuse.to").code == NO_SERVICE
    assert_not_connected(listener)


def test_missing_directory_means_no_service(call):
    with mounts.tmpfs("/run"):
        result = call()
    assert result.code == NO_SERVICE


@pytest.mark.parametrize("kind", [
    "", "fuse.", "fuseblk.", "fuse..", "fuse...", ".", "..", "fuse.a/b", "a/b", "/", "/run/filesystems/toy",
    "fuse.../filesystems/toy", "fuse." + "x" * 200, "x" * 5000,
], ids=lambda kind: kind[:30])
def test_invalid_type_is_refused(call, listen, kind):
    listener = listen()
    result = call(kind)
    assert result.code in (FAILED, NO_SERVICE)
    assert result.code == NO_SERVICE or "File name too long" in result.errors or result.usage_error()
    assert_not_connected(listener)


# invalid command lines


@pytest.mark.parametrize("arguments", [
    [], ["-t"], ["-t", "fuse.toy"], ["/dev/null"], ["/dev/null", "-t", "fuse.toy"], ["/dev/null", "/mnt"],
    ["/dev/null", "/mnt", "-t"], ["/dev/null", "/mnt", "-t", "fuse.toy", "-o"], ["--check"],
    ["/dev/null", "/mnt", "/third", "-t", "fuse.toy"], ["/dev/null", "/mnt", "-t", "fuse.toy", "-t", "fuse.two"],
], ids=" ".join)
def test_invalid_command_line_is_refused_in_one_line(helper, listen, arguments):
    listener = listen()
    result = helper(*arguments)
    assert result.code == FAILED
    assert result.code == NO_SERVICE or "File name too long" in result.errors or result.usage_error()
    assert_not_connected(listener)


def test_missing_mountpoint_is_named(start, work):
    session = start(mountpoint=work / "nowhere")
    session.assert_fails_in_one_line(work / "nowhere")


def test_control_characters_of_mountpoint_are_escaped(start, work):
    session = start(mountpoint=f"{work}/no\x1b[2Jwhere")
    session.assert_fails_in_one_line(r"no\x1b[2Jwhere")


# --check


def test_check_finds_service_without_connecting(helper, listen):
    listener = listen()
    result = helper("-t", "fuse.toy", "--check")
    assert (result.code, result.output, result.errors) == (0, "", "")
    assert_not_connected(listener)


@pytest.mark.parametrize("kind", ["fuse.toy2", "to", "fuse.", "../toy", "", "x" * 300])
def test_check_of_missing_service_fails_silently(helper, listen, kind):
    listen()
    result = helper("-t", kind, "--check")
    assert (result.code, result.output, result.errors) == (FAILED, "", "")


def test_check_fails_without_write_permission(run, listen):
    listen(mode=0o220)
    assert run(*AS_NOBODY, *HELPER, "-t", "fuse.toy", "--check").wait().code == FAILED


def test_check_succeeds_with_write_permission(run, listen):
    listen(mode=0o222)
    assert run(*AS_NOBODY, *HELPER, "-t", "fuse.toy", "--check").wait().code == 0


def test_check_fails_for_regular_file(helper):
    with open(f"{SOCKETS}/plain", "w"):
        result = helper("-t", "fuse.plain", "--check")
    os.unlink(f"{SOCKETS}/plain")
    assert result.code == FAILED


# trusted sockets


UNTRUSTED = {
    "socket of other user": lambda: os.chown(f"{SOCKETS}/toy", NOBODY, 0),
    "directory of other user": lambda: os.chown(SOCKETS, NOBODY, 0),
    "group-writable directory": lambda: os.chmod(SOCKETS, 0o775),
    "world-writable directory": lambda: os.chmod(SOCKETS, 0o1777),
}


@pytest.mark.parametrize("make_untrusted", UNTRUSTED.values(), ids=UNTRUSTED)
def test_untrusted_socket_or_directory_is_not_used(call, listen, make_untrusted):
    listener = listen()
    make_untrusted()
    try:
        result = call()
    finally:
        os.chmod(SOCKETS, 0o755)
        os.chown(SOCKETS, 0, 0)
    assert result.code == FAILED
    assert "root" in result.one_line()
    assert_not_connected(listener)


def test_untrusted_socket_is_not_used_through_symlink(call, listen):
    elsewhere = listen("real")
    os.chown(elsewhere.path, NOBODY, 0)
    os.symlink("real", f"{SOCKETS}/toy")
    try:
        assert call().code == FAILED
    finally:
        os.unlink(f"{SOCKETS}/toy")
    assert_not_connected(elsewhere)
