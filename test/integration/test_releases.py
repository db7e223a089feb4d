# SPDX-License-Identifier: LGPL-2.1-or-later
"""What works here works in other releases, with their compilers, their libfuse and their systemd.

All but the slowest tests: test/releases runs these too.
"""

import subprocess

import pytest

from kit import release_report


def share(config):
    """Return the options for a third of the tests in the container, if the run is one of a part of the long tests."""
    if not config.getoption("--long"):
        return []
    commit = subprocess.run(["git", "-C", release_report.REPO, "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True)
    return [f"--share={int(commit.stdout[:7] or '0', 16) // 5 % 3 + 1}/3"]


@pytest.fixture(scope="module")
def rows(request):
    """Those that were asked for, some at a time."""
    wanted = [item.callspec.params["release"] for item in request.session.items
              if item.function is test_all_that_holds_here_holds_in and hasattr(item, "callspec")]
    return {row.release: row for row in release_report.examine_all(wanted, release_report.SLOW, share(request.config))}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("release", release_report.RELEASES)
def test_all_that_holds_here_holds_in(release, rows):
    row = rows[release]
    print(release_report.page([row]), f"{row.seconds:.0f} s", sep="\n")
    if row.skipped:
        pytest.skip(row.skipped)
    assert row.failures == []
