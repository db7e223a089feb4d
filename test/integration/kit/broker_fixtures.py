# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures for servers in Python whose code is in a test. fsvc-open runs them without privileges, with a source of
root.

Modules that import these fixtures can use them.
"""

import errno
import json
import os
from pathlib import Path

import pytest

from . import protocol
from .channel import HungUp
from .fake_helper import CONTAINED
from .build_options import FSVC

PRELUDE = (Path(__file__).parent / "server_prelude.py").read_text()


@pytest.fixture
def hidden(work):
    """A directory that the server cannot enter, like most in the sandbox."""
    path = work / "hidden"
    path.mkdir(0o700)
    return path


@pytest.fixture
def source(source, hidden):
    source.chmod(0o600)
    return source.rename(hidden / source.name)


@pytest.fixture
def server(activate, source, mountpoint):
    """Run a server with fsvc-open. Return its helper after the handshake."""

    def server(*command, options=(), arguments=(), flags=protocol.ALLOW_OTHER):
        helper = activate(*CONTAINED, FSVC, "fsvc-open", *arguments, "--", *command)
        helper.handshake(["toy", str(source), str(mountpoint), *options], flags=flags)
        return helper

    return server


@pytest.fixture
def python(server):
    """Run the code of a server in Python, which can be indented as in the test."""

    def python(text, **how):
        return server("/usr/bin/python3", "-I", "-S", "-c", PRELUDE + "if True:\n" + text, **how)

    return python


@pytest.fixture
def server_output(python, source):
    """Run a server until it exits. Return its JSON output and the commands that the helper received."""

    def server_output(text, granted=(), **how):
        helper = python(text, **how)
        asked = answer_all(helper, source, *granted)
        output, errors = helper.server.wait()[1:3]
        assert output, errors
        return json.loads(output), asked

    return server_output


def answer_all(helper, *granted):
    """Grant only these files, and answer all other commands with success, until the server says goodbye. Return the
    commands."""
    asked = []
    try:
        while not asked or asked[-1].name != "BYEE":
            asked.append(helper.receive_command())
            answer(helper, asked[-1], granted)
    except HungUp:
        pass
    return asked


def answer(helper, command, granted):
    if command.name == "OPEN" and os.fsdecode(command.text) in map(str, granted):
        helper.answer_file(command)
    elif command.name in ("OPEN", "BDEV"):
        helper.send(protocol.file(os.fsdecode(command.text), error=errno.EPERM))
    elif command.name != "BYEE":
        helper.send(protocol.reply())


def paths(asked):
    return [os.fsdecode(command.text) for command in asked if command.name == "OPEN"]
