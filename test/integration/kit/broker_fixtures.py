# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers that stand in a test's text, in Python, started by fsvc-open without a privilege.  Their source is root's.

The fixtures are for the modules that import them.
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

INNER = (Path(__file__).parent / "server_prelude.py").read_text()


@pytest.fixture
def hidden(work):
    """A directory that the server cannot look into, as all are in the sandbox."""
    path = work / "hidden"
    path.mkdir(0o700)
    return path


@pytest.fixture
def source(source, hidden):
    source.chmod(0o600)
    return source.rename(hidden / source.name)


@pytest.fixture
def server(activate, source, mountpoint):
    """The helper of a server, behind the handshake."""

    def server(*command, options=(), words=(), flags=protocol.ALLOW_OTHER):
        helper = activate(*CONTAINED, FSVC, "fsvc-open", *words, "--", *command)
        helper.handshake(["toy", str(source), str(mountpoint), *options], flags=flags)
        return helper

    return server


@pytest.fixture
def python(server):
    """The same for a server in Python, whose text may follow a test's indentation."""

    def python(text, **how):
        return server("/usr/bin/python3", "-I", "-S", "-c", INNER + "if True:\n" + text, **how)

    return python


@pytest.fixture
def told(python, source):
    """Runs a server to its end: what it told, and what the helper was asked."""

    def told(text, granted=(), **how):
        helper = python(text, **how)
        asked = answer_all(helper, source, *granted)
        output, errors = helper.server.wait()[1:3]
        assert output, errors
        return json.loads(output), asked

    return told


def answer_all(helper, *granted):
    """A helper that opens no more than it was told, and says yes to all else, up to the server's goodbye."""
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
