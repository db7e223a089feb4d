# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-open runs an unmodified server as a service, and checks its sandbox."""

import contextlib
import os

import pytest

from kit import mounts, protocol
from kit.channel import HungUp
from kit.fake_helper import CONTAINED, FAKE_SANDBOX, UNPRIVILEGED
from kit.build_options import FSVC
from kit.processes import process_tree
from kit.programs import AS_NOBODY, NOBODY
from kit.waiting import wait_for

FSVC_OPEN = [FSVC, "fsvc-open"]
UNCONTAINED = [*FSVC_OPEN, "--uncontained", "--"]


def assert_refuses_to_start(helper):
    """Check that the service sends no request. Return its error message."""
    with pytest.raises(HungUp):
        helper.handshake(["toy", "/a", "/m"])
        helper.receive_command()
    return helper.assert_gives_up().one_line()


# the sandbox


def test_service_with_capabilities_refuses_to_start(activate):
    assert "capabilit" in assert_refuses_to_start(activate(*FSVC_OPEN, "--", "squashfuse"))


def test_service_with_one_capability_refuses_to_start(activate):
    options = ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all,+chown"]
    assert "capabilit" in assert_refuses_to_start(activate("setpriv", *options, *FSVC_OPEN, "--", "squashfuse"))


@pytest.mark.parametrize("options", [["--inh-caps=+chown", "--ambient-caps=+chown"], ["--inh-caps=+chown"]],
                         ids=["ambient", "inheritable"])
def test_inherited_capabilities_do_not_reach_server(greet, options):
    helper = greet([*FAKE_SANDBOX, *AS_NOBODY, "--no-new-privs", *options, *FSVC_OPEN, "--", "squashfuse"])
    with contextlib.suppress(HungUp):  # it may also refuse to start
        helper.receive_command()
        assert_has_no_capability(helper.server.pid)


def test_service_without_no_new_privs_refuses_to_start(activate):
    could_gain = [option for option in UNPRIVILEGED if option != "--no-new-privs"]
    line = assert_refuses_to_start(activate(*FAKE_SANDBOX, *could_gain, *FSVC_OPEN, "--", "squashfuse"))
    assert "no_new_privs" in line or "new privileges" in line


@pytest.mark.parametrize("missing, message", [("--filter", "no system call filter"), ("--root", "a writable root directory"),
                                              ("--network", "a network")])
def test_service_without_layer_of_sandbox_refuses_to_start(activate, missing, message):
    """A service manager may ignore settings that it does not know or cannot apply."""
    if missing == "--network" and not has_network():
        pytest.skip("this machine has no network")
    assert message in assert_refuses_to_start(activate(*FAKE_SANDBOX, missing, *UNPRIVILEGED, *FSVC_OPEN, "--", "squashfuse"))


def test_service_with_option_remote_can_have_network(activate):
    helper = activate(*FAKE_SANDBOX, "--network", *UNPRIVILEGED, *FSVC_OPEN, "--remote", "--", "squashfuse")
    helper.handshake(["toy", "https://example.org/", "/m"])
    assert helper.receive_command()  # it has started the server


def has_network():
    return len(os.listdir("/sys/class/net")) > 1


def test_server_runs_without_privileges(greet, mountpoint):
    helper = greet([*CONTAINED, *FSVC_OPEN, "--", "squashfuse"])
    commands = helper.commands_until("DOIT")
    helper.make_mount(commands)
    helper.send(protocol.reply())
    assert helper.receive_command() == ("BYEE", (0,), None)
    assert sorted(os.listdir(mountpoint)) == ["empty", "link", "sub", "text"]
    wait_for(lambda: len(process_tree(helper.server.pid)) == 2, what="the daemonized server alone")
    for pid in process_tree(helper.server.pid):
        assert status_of(pid)["Uid"].split() == [str(NOBODY)] * 4
        assert_has_no_capability(pid)
        assert status_of(pid)["NoNewPrivs"] == "1"
    mounts.unmount(mountpoint)
    assert helper.server.wait().code == 0


def assert_has_no_capability(pid):
    assert {status_of(pid)[each] for each in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}


def status_of(pid):
    with open(f"/proc/{pid}/status") as lines:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


# the server


def test_read_only_service_does_not_open_source_for_writing(greet):
    asked, command = greet([*FSVC_OPEN, "--read-only", "--uncontained", "--", "squashfuse"]).answer_files()
    assert asked and all(each.numbers[0] & os.O_ACCMODE == os.O_RDONLY for each in asked)
    assert command.name == "TYPE"


def test_paths_of_server_are_private_and_temporary(greet, work, image, mountpoint):
    server_program = work / "server_program"
    server_program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{work}/seen\nexit 1\n')
    server_program.chmod(0o755)
    helper = greet([*UNCONTAINED, server_program, "-x", "own"])
    assert helper.goodbye_code() != 0
    helper.assert_gives_up()
    *own, seen_source, seen_mountpoint = (work / "seen").read_text().splitlines()
    assert own == ["-x", "own"]
    assert seen_source != str(image) and os.path.basename(seen_source) == image.name
    assert seen_mountpoint != str(mountpoint)
    assert not os.path.lexists(os.path.dirname(seen_mountpoint))


def test_missing_server_is_reported_with_its_package(greet):
    helper = greet([*FSVC_OPEN, "--uncontained", "--package=exotic-fuse", "--", "exotic"])
    assert helper.goodbye_code() == 127
    assert "exotic: not installed; try 'apt install exotic-fuse'" in helper.assert_gives_up().one_line()


# failing servers


@pytest.mark.parametrize("server", [
    ["false"], ["true"], ["/nowhere/server"], ["/etc/passwd"], ["sh", "-c", "kill -9 $$"],
    ["sh", "-c", "kill -SEGV $$"],
], ids=" ".join)
def test_server_that_exits_is_failure(greet, server):
    helper = greet([*UNCONTAINED, *server])
    assert helper.goodbye_code() != 0
    assert helper.server.wait().code != 0


def test_invalid_image_is_failure(greet, source):
    helper = greet([*UNCONTAINED, "squashfuse"], source=source)
    assert helper.goodbye_code() != 0
    assert helper.server.wait().code != 0


def test_server_that_never_mounts_ends_when_helper_exits(greet):
    helper = greet([*UNCONTAINED, "sh", "-c", "sleep 600"])
    while helper.waits(1):
        helper.answer_file(helper.receive_command())
    wait_for(lambda: len(process_tree(helper.server.pid)) > 1, what="the server")
    helper.hang_up()
    helper.assert_gives_up()


def test_missing_server_argument_is_usage_error(run):
    for arguments in [], ["--"], ["--uncontained", "--"], ["--what", "--", "squashfuse"]:
        result = run(*FSVC_OPEN, *arguments).wait()
        assert result.code == 1 and result.errors
