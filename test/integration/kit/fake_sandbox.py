# SPDX-License-Identifier: LGPL-2.1-or-later
"""Run a program in a substitute for the sandbox of a service, for tests without systemd.

fake_sandbox.py [--filter] [--root] [--network] COMMAND...

It consists of a seccomp filter, a read-only root directory and a network namespace. Each option leaves one of them
out.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kit import mounts, seccomp  # noqa: E402

CLONE_NEWNET = 0x40000000
UNUSED, ENOSYS = 1000, 38  # the number does not exist


def read_only_root():
    """Make all directories read-only except /tmp, where a server without a real sandbox creates its files."""
    mounts.enter_private_namespace()
    mounts.mount("/tmp", "/tmp", None, mounts.BIND | mounts.REC)
    mounts.mount(None, "/", None, mounts.REMOUNT | mounts.BIND | mounts.RDONLY)


LAYERS = {
    "--root": read_only_root,
    "--network": lambda: mounts.check(mounts.LIBC.unshare(CLONE_NEWNET)),
    "--filter": seccomp.without_system_call(UNUSED, ENOSYS),
}


def main():
    arguments = sys.argv[1:]
    left_out = {argument for argument in arguments if argument in LAYERS}
    for name, layer in LAYERS.items():
        if name not in left_out:
            layer()
    command = [argument for argument in arguments if argument not in LAYERS]
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
