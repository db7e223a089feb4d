# SPDX-License-Identifier: LGPL-2.1-or-later
"""The exit statuses of the mount programs, read from common/helper/exit_status.h."""

import re

from .build_options import REPOSITORY

HEADER = REPOSITORY / "common/helper/exit_status.h"


def read_enum(name):
    """Return the constants of an enum of the header, by name."""
    body = re.search(rf"enum {name} {{(.*?)}};", HEADER.read_text(), re.DOTALL)[1]
    return {constant: int(number) for constant, number in re.findall(r"(\w+) = (\d+)", body)}


HELPER = read_enum("helper_exit_status")
MOUNT = read_enum("mount_exit_status")

MOUNTED, FAILED, NO_SERVICE = HELPER.values()
SUCCESS, USAGE, SYSTEM, INTERRUPTED, MOUNT_FAILED, SOME_FAILED = MOUNT.values()
