# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures for a hostile caller of a set-user-ID helper. Modules that import these fixtures can use them."""

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
NOT_OWNER = 1  # exit status of fsvc-umount

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
    """Options of a session in which an unprivileged user executes the set-user-ID helper directly."""
    return {"command": [set_user_id], "listener": listen(mode=0o222), **USER}


@pytest.fixture
def refused(start, user):
    """Try to mount as the user. Check that it fails without a new mount, and return the error message."""

    def refused(*arguments, commands=(), **options):
        before = mounts.mountinfo()
        session = start(*arguments, **user | options)
        session.try_to_mount(*commands)
        result = session.helper.wait()
        assert result.code == FAILED and mounts.mountinfo() == before
        return result.one_line()

    return refused


@pytest.fixture
def record(work):
    """Return the path to which the program "recorder" writes its /proc/self/status and file descriptors."""
    return install_recorder(work, RECORDER)


@pytest.fixture
def by_mount(run, set_user_id, work, record):
    """Run mount.fuse3 as the user. Return the result, and what the "recorder" server wrote if it was started."""
    program = pathlib.Path(set_user_id).with_name("mount.fuse3")

    def by_mount(*arguments, **options):
        record.write_text("")
        result = run(program, *arguments, **USER, env={"PATH": f"{work}/bin:/usr/bin:/bin"}, **options).wait()
        return result, json.loads(record.read_text() or "null")

    return by_mount


def make_directory(path, owner, mode):
    path.mkdir()
    os.chown(path, owner, owner)
    path.chmod(mode)
    return path


@pytest.fixture
def home(work):
    return make_directory(work / "home", NOBODY, 0o755)
