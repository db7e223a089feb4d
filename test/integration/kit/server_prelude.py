# SPDX-License-Identifier: LGPL-2.1-or-later
"""What servers that stand in a test begin with: they run under fsvc-open and tell what they see."""

import ctypes
import errno
import json
import os
import sys

SOURCE, MOUNTPOINT = sys.argv[1:3]
OPTIONS = sys.argv[4] if len(sys.argv) > 4 else ""
LIBC = ctypes.CDLL(None, use_errno=True)


def tell(what):
    print(json.dumps(what), flush=True)


def attempt(call, *arguments, **words):
    """What the call returns, or the name of its error."""
    try:
        return call(*arguments, **words)
    except OSError as error:
        return errno.errorcode[error.errno]


def libc(function, *arguments):
    result = getattr(LIBC, function)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), function)
    return result


def content(opened, size=16, offset=256):
    """Some bytes of a descriptor, or the error that was got instead of one."""
    return opened if isinstance(opened, str) else os.pread(opened, size, offset).hex()


def mount(place=MOUNTPOINT, kind="fuse", flags=0, options=""):
    """Mounts as libfuse does, and gives the descriptor."""
    device = os.open("/dev/fuse", os.O_RDWR)
    data = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}{options}"
    libc("mount", b"inner", place.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
    return device


def serve(device):
    """Takes the kernel's first request, so that the mount is served."""
    os.read(device, 1 << 17)
