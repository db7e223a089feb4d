# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mounts of a process, and the system calls for mounting that Python lacks."""

import contextlib
import ctypes
import os
import re
import subprocess
from typing import NamedTuple

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS = 0x20000
MNT_DETACH = 2

# MS_* flags of mount(2)
RDONLY, NOSUID, NODEV, NOEXEC, SYNCHRONOUS, REMOUNT, MANDLOCK, DIRSYNC = (1 << bit for bit in range(8))
NOSYMFOLLOW, NOATIME, NODIRATIME, BIND, MOVE, REC, SILENT = 256, 1024, 2048, 4096, 8192, 16384, 32768
POSIXACL, UNBINDABLE, PRIVATE, SLAVE, SHARED, RELATIME = (1 << bit for bit in range(16, 22))
KERNMOUNT, I_VERSION, STRICTATIME, LAZYTIME = (1 << bit for bit in range(22, 26))
SUBMOUNT, NOREMOTELOCK, NOSEC, BORN, ACTIVE, NOUSER = (1 << bit for bit in range(26, 32))


class Mount(NamedTuple):
    """A line of mountinfo."""

    mountpoint: str
    flags: set
    type: str
    source: str
    options: set  # of the superblock


def unescape(field):
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def parse(line):
    fields, behind = (part.split() for part in line.split(" - "))
    return Mount(unescape(fields[4]), set(fields[5].split(",")), behind[0], unescape(behind[1]),
                 set(behind[2].split(",")))


def mountinfo(pid="self"):
    with open(f"/proc/{pid}/mountinfo") as lines:
        return [parse(line) for line in lines]


def at(mountpoint, pid="self"):
    """Return the mounts on this mountpoint, lowest first."""
    return [mount for mount in mountinfo(pid) if mount.mountpoint == str(mountpoint)]


def single_mount_at(mountpoint):
    found = at(mountpoint)
    assert len(found) == 1, f"{len(found)} mounts on {mountpoint}"
    return found[0]


def check(result):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def enter_private_namespace():
    """Enter a new mount namespace. Mounts of this process and its children are not visible outside, and are removed
    with it."""
    check(LIBC.unshare(CLONE_NEWNS))
    mount(None, "/", None, PRIVATE | REC)


def hide_fuse_mounts(but=()):
    """Detach FUSE mounts of other programs in this mount namespace, except those that contain a path in BUT."""
    kept = [str(path) for path in ("/", *but)]
    for found in reversed(mountinfo()):
        if found.type.partition(".")[0] not in ("fuse", "fuseblk"):
            continue
        if not any(os.path.commonpath([path, found.mountpoint]) == found.mountpoint for path in kept):
            detach(found.mountpoint)


def mount(source, mountpoint, kind, flags=0, options=""):
    def encode(text):
        return None if text is None else str(text).encode()

    check(LIBC.mount(encode(source), encode(mountpoint), encode(kind), ctypes.c_ulong(flags), encode(options)))


def detach(mountpoint):
    """Detach a mount with MNT_DETACH, which does not wait for the server."""
    check(LIBC.umount2(str(mountpoint).encode(), MNT_DETACH))


def unmount(mountpoint, *options):
    """Run umount(8), which also removes the entry in utab."""
    subprocess.run(["umount", *options, str(mountpoint)], check=True, timeout=30)


@contextlib.contextmanager
def tmpfs(mountpoint, mode="0755"):
    mount("fsvc-test", mountpoint, "tmpfs", NOSUID | NODEV, f"mode={mode}")
    try:
        yield mountpoint
    finally:
        detach(mountpoint)
