# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-umount, and mounts for it.  The fixtures are for the modules that import them."""

import pytest

from . import mounts, utab
from .build_options import FSVC
from .waiting import wait_for

UMOUNT = [FSVC, "fsvc-umount"]
NOT_UNMOUNTED, WRONG, INTERRUPTED, SOME = 32, 1, 8, 64


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
