# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures for fsvc-probe without systemd. Modules that import these fixtures can use them."""

import contextlib
import json
import os

import pytest

from . import mounts
from .fake_service import SOCKETS
from .build_options import FSVC
from .run_id import RUN_ID

PROBE = [FSVC, "fsvc-probe"]
FAILED = 1
# Listening sockets are visible in the whole network namespace, also to other test runs.
TYPE = f"probe{RUN_ID}"
HOSTILE = "\x1b[2Jred\x9b31m \u202e\nnext"  # control characters that a terminal would interpret


@pytest.fixture(autouse=True)
def without_systemd(nothing_is_left):
    with contextlib.ExitStack() as stack:
        if os.path.exists("/run/systemd/system"):
            stack.enter_context(mounts.tmpfs("/run/systemd"))
        yield


@pytest.fixture
def probe(run):
    return lambda *arguments, command=PROBE, **options: run(*command, *arguments, **options).wait()


@pytest.fixture
def shown(probe):
    """Return the output in JSON format, for services or for mounts."""

    def shown(*arguments, code=0, of="services", **options):
        result = probe("--json", *arguments, **options)
        assert result.code == code, result
        return json.loads(result.output)[of]

    return shown


@pytest.fixture
def state(shown):
    def state(subtype=TYPE, **options):
        rows = {row["type"]: row["state"] for row in shown(**options)}
        return rows[subtype]

    return state


def printable(text):
    return all(line.isprintable() for line in text.split("\n"))


@contextlib.contextmanager
def directory_as(owner, mode):
    before = os.stat(SOCKETS)
    os.chown(SOCKETS, owner, 0)
    os.chmod(SOCKETS, mode)
    try:
        yield
    finally:
        os.chown(SOCKETS, 0, 0)
        os.chmod(SOCKETS, before.st_mode)
