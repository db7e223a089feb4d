# SPDX-License-Identifier: LGPL-2.1-or-later
"""Loop devices, with a list of them, so that those of killed tests are detached at the end of the run."""

import contextlib
import subprocess
import tempfile
from pathlib import Path

from .run_id import RUN

LIST = Path(tempfile.gettempdir(), f"fsvc-{RUN}.loops")


def losetup(*arguments):
    done = subprocess.run(["losetup", *map(str, arguments)], check=True, capture_output=True, text=True, timeout=30)
    return done.stdout.strip()


def inode(device):
    """Return the inode of the file behind DEVICE. It may have become the device of another program."""
    return losetup("--list", "--noheadings", "--output=BACK-INO", device)


def attach(file):
    """Make a block device of FILE, and return its path."""
    device = losetup("--find", "--show", file)
    with LIST.open("a") as attached:
        attached.write(f"{device} {inode(device)}\n")
    return device


def detach(device):
    losetup("--detach", device)


@contextlib.contextmanager
def loop_device(file):
    """Yield the path of a block device for FILE."""
    device = attach(file)
    try:
        yield device
    finally:
        detach(device)


def detach_all():
    """Detach the loop devices that tests of this run have not detached."""
    with contextlib.suppress(FileNotFoundError):
        for line in LIST.read_text().splitlines():
            device, number = line.split()
            with contextlib.suppress(subprocess.CalledProcessError):
                if inode(device) == number:
                    detach(device)
        LIST.unlink()
