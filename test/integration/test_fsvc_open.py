# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-open makes an unmodified server a service, and wants it in an empty room."""

import contextlib
import os

import pytest

from kit import mounts, protocol
from kit.channel import HungUp
from kit.fake_helper import CONTAINED, ROOM, UNPRIVILEGED
from kit.build_options import FSVC
from kit.processes import family
from kit.programs import AS_NOBODY, NOBODY
from kit.waiting import wait_for

FSVC_OPEN = [FSVC, "fsvc-open"]
UNCONTAINED = [*FSVC_OPEN, "--uncontained", "--"]


def never_starts(helper):
    """The service refuses its work: it says why, and asks for nothing."""
    with pytest.raises(HungUp):
        helper.handshake(["toy", "/a", "/m"])
        helper.receive_command()
    return helper.gives_up().one_line()


# containment


def test_a_service_with_privileges_refuses_to_start(activate):
    assert "capabilit" in never_starts(activate(*FSVC_OPEN, "--", "squashfuse"))


def test_root_with_one_capability_left_refuses_to_start(activate):
    words = ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all,+chown"]
    assert "capabilit" in never_starts(activate("setpriv", *words, *FSVC_OPEN, "--", "squashfuse"))


@pytest.mark.parametrize("words", [["--inh-caps=+chown", "--ambient-caps=+chown"], ["--inh-caps=+chown"]],
                         ids=["ambient", "inheritable"])
def test_a_capability_that_came_from_outside_does_not_reach_the_server(greet, words):
    helper = greet([*ROOM, *AS_NOBODY, "--no-new-privs", *words, *FSVC_OPEN, "--", "squashfuse"])
    with contextlib.suppress(HungUp):  # refusing to start is as good
        helper.receive_command()
        assert_has_no_capability(helper.server.pid)


def test_a_service_that_could_gain_privileges_refuses_to_start(activate):
    could_gain = [word for word in UNPRIVILEGED if word != "--no-new-privs"]
    line = never_starts(activate(*ROOM, *could_gain, *FSVC_OPEN, "--", "squashfuse"))
    assert "no_new_privs" in line or "new privileges" in line


@pytest.mark.parametrize("piece, words", [("--filter", "no system call filter"), ("--root", "a writable root directory"),
                                          ("--network", "a network")])
def test_a_service_that_lacks_a_piece_of_the_sandbox_refuses_to_start(activate, piece, words):
    """A service manager leaves out what it does not know, or what it may not do, and starts it all the same."""
    if piece == "--network" and not has_network():
        pytest.skip("there is no network here that a service could be left with")
    assert words in never_starts(activate(*ROOM, piece, *UNPRIVILEGED, *FSVC_OPEN, "--", "squashfuse"))


def test_a_service_that_is_to_have_a_network_has_one(activate):
    helper = activate(*ROOM, "--network", *UNPRIVILEGED, *FSVC_OPEN, "--remote", "--", "squashfuse")
    helper.handshake(["toy", "https://example.org/", "/m"])
    assert helper.receive_command()  # it has started the server


def has_network():
    return len(os.listdir("/sys/class/net")) > 1


def test_a_server_without_any_privilege_serves(greet, mountpoint):
    helper = greet([*CONTAINED, *FSVC_OPEN, "--", "squashfuse"])
    commands = helper.commands_until("DOIT")
    helper.really_mount(commands)
    helper.send(protocol.reply())
    assert helper.receive_command() == ("BYEE", (0,), None)
    assert sorted(os.listdir(mountpoint)) == ["empty", "link", "sub", "text"]
    wait_for(lambda: len(family(helper.server.pid)) == 2, what="the server, alone after it has daemonized")
    for pid in family(helper.server.pid):
        assert words_of(pid)["Uid"].split() == [str(NOBODY)] * 4
        assert_has_no_capability(pid)
        assert words_of(pid)["NoNewPrivs"] == "1"
    mounts.unmount(mountpoint)
    assert helper.server.wait().code == 0


def assert_has_no_capability(pid):
    assert {words_of(pid)[each] for each in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}


def words_of(pid):
    with open(f"/proc/{pid}/status") as lines:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


# what the server is given


def test_a_read_only_service_never_asks_to_write(greet):
    asked, command = greet([*FSVC_OPEN, "--read-only", "--uncontained", "--", "squashfuse"]).answer_files()
    assert asked and all(each.numbers[0] & os.O_ACCMODE == os.O_RDONLY for each in asked)
    assert command.name == "TYPE"


def test_a_server_gets_names_of_its_own_which_do_not_outlive_it(greet, work, image, mountpoint):
    spy = work / "spy"
    spy.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{work}/seen\nexit 1\n')
    spy.chmod(0o755)
    helper = greet([*UNCONTAINED, spy, "-x", "own"])
    assert helper.goodbye_code() != 0
    helper.gives_up()
    *own, seen_source, seen_mountpoint = (work / "seen").read_text().splitlines()
    assert own == ["-x", "own"]
    assert seen_source != str(image) and os.path.basename(seen_source) == image.name
    assert seen_mountpoint != str(mountpoint)
    assert not os.path.lexists(os.path.dirname(seen_mountpoint))


def test_a_server_that_is_not_installed_is_named_with_its_package(greet):
    helper = greet([*FSVC_OPEN, "--uncontained", "--package=exotic-fuse", "--", "exotic"])
    assert helper.goodbye_code() == 127
    assert "exotic: not installed; try 'apt install exotic-fuse'" in helper.gives_up().one_line()


# servers that fail


@pytest.mark.parametrize("server", [
    ["false"], ["true"], ["/nowhere/server"], ["/etc/passwd"], ["sh", "-c", "kill -9 $$"],
    ["sh", "-c", "kill -SEGV $$"],
], ids=" ".join)
def test_a_server_that_does_not_serve_fails(greet, server):
    helper = greet([*UNCONTAINED, *server])
    assert helper.goodbye_code() != 0
    assert helper.server.wait().code != 0


def test_an_image_that_is_none_fails(greet, source):
    helper = greet([*UNCONTAINED, "squashfuse"], source=source)
    assert helper.goodbye_code() != 0
    assert helper.server.wait().code != 0


def test_a_server_that_never_serves_ends_when_the_helper_has_gone(greet):
    helper = greet([*UNCONTAINED, "sh", "-c", "sleep 600"])
    while helper.waits(1):
        helper.answer_file(helper.receive_command())
    wait_for(lambda: len(family(helper.server.pid)) > 1, what="the server")
    helper.hang_up()
    helper.gives_up()


def test_no_server_at_all_is_a_usage_error(run):
    for words in [], ["--"], ["--uncontained", "--"], ["--what", "--", "squashfuse"]:
        result = run(*FSVC_OPEN, *words).wait()
        assert result.code == 1 and result.errors
