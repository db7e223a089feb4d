# SPDX-License-Identifier: LGPL-2.1-or-later
"""What works here works in other releases, with their compilers, their libfuse and their systemd.

All but the slowest tests: test/releases runs these too.
"""

import pytest

from kit import release_report


@pytest.fixture(scope="module")
def rows(request):
    """Those that were asked for, some at a time."""
    wanted = [item.callspec.params["release"] for item in request.session.items
              if item.function is test_all_that_holds_here_holds_in and hasattr(item, "callspec")]
    return {row.release: row for row in release_report.examine_all(wanted, release_report.SLOW)}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("release", release_report.RELEASES)
def test_all_that_holds_here_holds_in(release, rows):
    row = rows[release]
    print(release_report.page([row]), f"{row.seconds:.0f} s", sep="\n")
    if row.skipped:
        pytest.skip(row.skipped)
    assert row.failures == []
