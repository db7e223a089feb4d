# SPDX-License-Identifier: LGPL-2.1-or-later
"""The library and the servers work with the compilers, the libfuse and the systemd of other releases."""

import concurrent.futures
import subprocess

import pytest
from kit import programs

SCRIPT = programs.REPOSITORY / "test" / "releases"
RELEASES = ("bullseye", "trixie", "sid")
NOTHING_TESTED = 77
MINUTES = 60


def call(release):
    return subprocess.run([SCRIPT, release], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="backslashreplace", timeout=30 * MINUTES)


@pytest.fixture(scope="module")
def calls(request):
    """Those that were asked for, at the same time: each of them waits a lot."""
    wanted = [item.callspec.params["release"] for item in request.session.items if item.path == request.path]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return dict(zip(wanted, pool.map(call, wanted)))


@pytest.mark.parametrize("release", RELEASES)
def test_builds_and_mounts_in(release, calls):
    done = calls[release]
    if done.returncode == NOTHING_TESTED:
        pytest.skip(done.stdout.splitlines()[0])
    assert done.returncode == 0, done.stdout
