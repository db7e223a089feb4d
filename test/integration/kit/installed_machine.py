# SPDX-License-Identifier: LGPL-2.1-or-later
"""A throwaway machine with systemd in which fsvc is installed."""

import contextlib
import shutil

import pytest

from .throwaway_machine import REPO, Machine
from .build_options import BUILD


def needs_a_machine():
    if not shutil.which("systemd-nspawn"):
        pytest.skip("systemd-nspawn is not installed")


@contextlib.contextmanager
def installed_machine(kind=Machine):
    """Boot a machine and install fsvc in it."""
    needs_a_machine()
    with kind(layers=(REPO, BUILD)) as machine:
        machine.run("meson", "install", "--no-rebuild", "-C", BUILD)
        machine.run("systemctl", "daemon-reload")
        yield machine
