# SPDX-License-Identifier: LGPL-2.1-or-later
"""Exchanges two names as fast as it can, until it is told to stop: a line that it begins, and how often it did.

Run as a program, it is a user who waits for the moment between a look at a name and its use.
"""

import contextlib
import ctypes
import signal
import subprocess
import sys

AT_FDCWD, RENAME_EXCHANGE = -100, 2


def main(one, other):
    exchange = ctypes.CDLL(None).renameat2
    one, other = one.encode(), other.encode()
    going, swaps = [True], 0
    signal.signal(signal.SIGTERM, lambda *_: going.clear())
    print("racing", flush=True)
    while going:
        if exchange(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) == 0:
            swaps += 1
        # Without a pause the kernel lets few others at the directory.
        for _ in range(swaps % 40):
            pass
    print(swaps)


@contextlib.contextmanager
def racing(one, other, **user):
    """Gives a list that holds the number of swaps in the end."""
    swaps = []
    racer = subprocess.Popen(["/usr/bin/python3", "-I", __file__, str(one), str(other)], stdout=subprocess.PIPE, **user)
    try:
        assert racer.stdout.readline() == b"racing\n"
        yield swaps
    finally:
        racer.terminate()
        swaps.append(int(racer.communicate(timeout=10)[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
