# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a program where it finds what a service's sandbox has, with nothing but system calls: for tests without systemd.

    room.py [--filter] [--root] [--network] COMMAND...

A filter of system calls, a root directory that nobody can write to, and no network; each word leaves one of them out.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kit import mounts, seccomp  # noqa: E402

CLONE_NEWNET = 0x40000000
UNUSED, ENOSYS = 1000, 38  # the number of a system call that does not exist


def read_only_root():
    """All but /tmp, where a server that is in no real sandbox has its names."""
    mounts.enter_private_namespace()
    mounts.mount("/tmp", "/tmp", None, mounts.BIND | mounts.REC)
    mounts.mount(None, "/", None, mounts.REMOUNT | mounts.BIND | mounts.RDONLY)


PIECES = {
    "--root": read_only_root,
    "--network": lambda: mounts.check(mounts.LIBC.unshare(CLONE_NEWNET)),
    "--filter": seccomp.without_system_call(UNUSED, ENOSYS),
}


def main():
    words = sys.argv[1:]
    left_out = {word for word in words if word in PIECES}
    for name, piece in PIECES.items():
        if name not in left_out:
            piece()
    command = [word for word in words if word not in PIECES]
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
