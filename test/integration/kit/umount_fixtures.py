# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-umount, and mounts for it.  The fixtures are for the modules that import them."""

import pytest

from . import mounts, utab
from .build_options import FSVC
from .exit_status import INTERRUPTED, MOUNT_FAILED, SOME_FAILED, USAGE  # noqa: F401, for the modules that import these
from .waiting import wait_for

UMOUNT = [FSVC, "fsvc-umount"]
NOT_UNMOUNTED, WRONG, SOME = MOUNT_FAILED, USAGE, SOME_FAILED


@pytest.fixture
def by_hand(run, image):
    """Mounts as anybody does without fsvc."""
    places = []

    def by_hand(place, source=image):
        places.append(place)
        server = run("squashfuse", "-f", "-o", f"fsname={source}", source, place)
        wait_for(lambda: mounts.at(place), what="the mount")
        return server

    yield by_hand
    for place in places:
        for _ in mounts.at(place):
            mounts.detach(place)


@pytest.fixture
def umount(run):
    return lambda *words, command=UMOUNT, **options: run(*command, *words, **options).wait()


def gone(place):
    return mounts.at(place) == [] and utab.entries_of(place) == []
