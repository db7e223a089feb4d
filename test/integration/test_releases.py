# SPDX-License-Identifier: LGPL-2.1-or-later
"""The other tests in other Debian releases, with their compilers, versions of libfuse, and systemd.

The slowest tests are left out: test/releases runs them, too.
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
    """Test the requested releases, some in parallel."""
    wanted = [item.callspec.params["release"] for item in request.session.items
              if item.function is test_tests_pass_in_release and hasattr(item, "callspec")]
    return {row.release: row for row in release_report.examine_all(wanted, release_report.SLOW, share(request.config))}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("release", release_report.RELEASES)
def test_tests_pass_in_release(release, rows):
    row = rows[release]
    print(release_report.page([row]), f"{row.seconds:.0f} s", sep="\n")
    if row.skipped:
        pytest.skip(row.skipped)
    assert row.failures == []
