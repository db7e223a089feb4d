# SPDX-License-Identifier: LGPL-2.1-or-later
"""The project as it is installed, in a throwaway machine: for the tests that need a real systemd."""

import contextlib
import shutil

import pytest

from .throwaway_machine import REPO, Machine
from .build_options import BUILD


def needs_a_machine():
    if not shutil.which("systemd-nspawn"):
        pytest.skip("there is no systemd-nspawn")


@contextlib.contextmanager
def installed_machine(kind=Machine):
    """Units that are added later want a daemon-reload of their own."""
    needs_a_machine()
    with kind(layers=(REPO, BUILD)) as machine:
        machine.run("meson", "install", "--no-rebuild", "-C", BUILD)
        machine.run("systemctl", "daemon-reload")
        yield machine
