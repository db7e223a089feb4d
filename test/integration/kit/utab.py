# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mount table of libmount, /run/mount/utab."""

import contextlib
from pathlib import Path

from .mounts import unescape

USER_TABLE = "/run/mount/utab"


def parse_entry(line):
    return dict(field.split("=", 1) for field in line.split())


def entries_of(mountpoint, root="/"):
    """Return the entries of a mountpoint as dictionaries."""
    return [entry for entry in map(parse_entry, user_table(root)) if unescape(entry["TARGET"]) == str(mountpoint)]


def forget(mountpoint):
    """Remove the entry of a helper that was killed before it attached its mount."""
    kept = [line for line in user_table() if unescape(parse_entry(line)["TARGET"]) != str(mountpoint)]
    if kept != user_table():
        Path(USER_TABLE).write_text("".join(f"{line}\n" for line in kept))


def user_table(root="/"):
    """Return the lines of the table of the system at ROOT. Tests have a private, empty /run/mount."""
    with contextlib.suppress(FileNotFoundError), open(f"{root}{USER_TABLE}") as lines:
        return [line.rstrip("\n") for line in lines]
    return []
