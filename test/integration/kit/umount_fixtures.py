# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures for fsvc-umount, and mounts for it. Modules that import these fixtures can use them."""

import pytest

from . import mounts, utab
from .build_options import FSVC
from .exit_status import INTERRUPTED, MOUNT_FAILED, SOME_FAILED, USAGE  # noqa: F401, for the modules that import these
from .waiting import wait_for

UMOUNT = [FSVC, "fsvc-umount"]
NOT_UNMOUNTED, USAGE_ERROR = MOUNT_FAILED, USAGE


@pytest.fixture
def mount_without_fsvc(run, image):
    """Mount with squashfuse, without fsvc."""
    targets = []

    def mount_without_fsvc(target, source=image):
        targets.append(target)
        server = run("squashfuse", "-f", "-o", f"fsname={source}", source, target)
        wait_for(lambda: mounts.at(target), what="the mount")
        return server

    yield mount_without_fsvc
    for target in targets:
        for _ in mounts.at(target):
            mounts.detach(target)


@pytest.fixture
def umount(run):
    return lambda *arguments, command=UMOUNT, **options: run(*command, *arguments, **options).wait()


def is_unmounted(target):
    return mounts.at(target) == [] and utab.entries_of(target) == []
