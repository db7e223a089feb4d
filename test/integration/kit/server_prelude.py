# SPDX-License-Identifier: LGPL-2.1-or-later
"""The beginning of the code of servers that are part of a test. They run with fsvc-open and report their observations."""

import ctypes
import errno
import json
import os
import sys

SOURCE, MOUNTPOINT = sys.argv[1:3]
OPTIONS = sys.argv[4] if len(sys.argv) > 4 else ""
LIBC = ctypes.CDLL(None, use_errno=True)


def tell(value):
    print(json.dumps(value), flush=True)


def attempt(call, *arguments, **options):
    """Return the result of the call, or the name of its error."""
    try:
        return call(*arguments, **options)
    except OSError as error:
        return errno.errorcode[error.errno]


def libc(function, *arguments):
    result = getattr(LIBC, function)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), function)
    return result


def content(opened, size=16, offset=256):
    """Return some bytes of a descriptor as hexadecimal digits, or OPENED if it is the name of an error."""
    return opened if isinstance(opened, str) else os.pread(opened, size, offset).hex()


def mount(path=MOUNTPOINT, kind="fuse", flags=0, options=""):
    """Mount as libfuse does. Return the descriptor of /dev/fuse."""
    device = os.open("/dev/fuse", os.O_RDWR)
    data = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}{options}"
    libc("mount", b"inner", path.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
    return device


def serve(device):
    """Read the first request of the kernel. The mount is considered served then."""
    os.read(device, 1 << 17)
