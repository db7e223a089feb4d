# SPDX-License-Identifier: LGPL-2.1-or-later
"""Start a program without one of the system calls, as on an older kernel."""

import ctypes

from . import mounts

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
PR_SET_NO_NEW_PRIVS = 38

STATMOUNT, LISTMOUNT = 457, 458  # system calls of Linux 6.8


class FilterStep(ctypes.Structure):
    """struct sock_filter"""

    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]


class Filter(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.POINTER(FilterStep))]


def without_system_call(number, error):
    """Return a preexec_fn that makes a system call fail. Numbers from 424 on are the same on all architectures."""
    load, jump_if_equal, return_value = 0x20, 0x15, 0x06
    steps = (FilterStep * 4)((load, 0, 0, 0), (jump_if_equal, 0, 1, number), (return_value, 0, 0, 0x50000 | error),
                             (return_value, 0, 0, 0x7FFF0000))
    program = Filter(len(steps), steps)

    def install():
        mounts.check(mounts.LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0))

    return install
