# SPDX-License-Identifier: LGPL-2.1-or-later
"""The exit statuses in the header and in the manual pages are the same."""

import re

import pytest

from kit import exit_status
from kit.manual_pages import page, sections

# mount.fuse3 does not unmount, and has only one mountpoint.
ONLY_UMOUNT = {"MOUNT_EXIT_INTERRUPTED", "MOUNT_EXIT_SOME_FAILED"}
STATUSES = {
    "fuservicemount3": exit_status.HELPER,
    "fsvc-umount": exit_status.MOUNT,
    "mount.fuse3": {name: status for name, status in exit_status.MOUNT.items() if name not in ONLY_UMOUNT},
}


@pytest.mark.parametrize("program, statuses", STATUSES.items(), ids=STATUSES)
def test_manual_page_lists_exit_statuses_of_header(program, statuses):
    text = "\n".join(sections(page(program))["EXIT STATUS"])
    assert [int(number) for number in re.findall(r"^\.B (\d+)$", text, re.MULTILINE)] == list(statuses.values())


def test_mount_exit_statuses_are_those_of_mount_8():
    assert list(exit_status.MOUNT.values()) == [0, 1, 2, 8, 32, 64]


def test_helper_exit_statuses_are_unchanged():
    assert list(exit_status.HELPER.values()) == [0, 1, 2]
