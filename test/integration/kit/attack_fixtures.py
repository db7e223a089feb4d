# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hostile caller of a set-user-ID helper.  The fixtures are for the modules that import them."""

import json
import os
import pathlib

import pytest

from . import mounts
from .exit_status import FAILED, MOUNT_FAILED  # noqa: F401, for the modules that import these fixtures
from .program_recorder import install_recorder
from .programs import NOBODY
from .unprivileged_user import USER

NO_APPLET = 127
NOT_YOURS = 1  # of fsvc-umount

RECORDER = """#!/usr/bin/python3 -I
import json, os
status = dict(line.rstrip("\\n").split(":\\t", 1) for line in open("/proc/self/status"))
links = {}
for number in os.listdir("/proc/self/fd"):
    try:
        links[number] = os.readlink("/proc/self/fd/" + number)
    except FileNotFoundError:
        pass
json.dump({"descriptors": links, **status}, open(RECORD, "w"))
"""


@pytest.fixture
def user(listen, set_user_id):
    """What makes an attempt one of the user, with no program between the user and the helper."""
    return {"command": [set_user_id], "listener": listen(mode=0o222), **USER}


@pytest.fixture
def refused(start, user):
    """Tries to mount something as the user, which fails in the one line that this gives, and changes no mount."""

    def refused(*words, commands=(), **how):
        before = mounts.mountinfo()
        begun = start(*words, **user | how)
        begun.try_to_mount(*commands)
        result = begun.helper.wait()
        assert result.code == FAILED and mounts.mountinfo() == before
        return result.one_line()

    return refused


@pytest.fixture
def record(work):
    """Where the program "recorder" writes what it finds itself to be."""
    return install_recorder(work, RECORDER)


@pytest.fixture
def by_mount(run, set_user_id, work, record):
    """mount.fuse3 in the user's hands: its result, and what a server that it has started recorded."""
    program = pathlib.Path(set_user_id).with_name("mount.fuse3")

    def by_mount(*words, **options):
        record.write_text("")
        result = run(program, *words, **USER, env={"PATH": f"{work}/bin:/usr/bin:/bin"}, **options).wait()
        return result, json.loads(record.read_text() or "null")

    return by_mount


def mine(path, owner, mode):
    path.mkdir()
    os.chown(path, owner, owner)
    path.chmod(mode)
    return path


@pytest.fixture
def home(work):
    return mine(work / "home", NOBODY, 0o755)
