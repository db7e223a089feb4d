# SPDX-License-Identifier: LGPL-2.1-or-later
"""Exchange two file names as fast as possible until SIGTERM. Print a line at the start, and the number of exchanges
at the end.

As a program it is run by an attacker who exploits the time between the check of a name and its use.
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
        # A short pause lets other processes access the directory.
        for _ in range(swaps % 40):
            pass
    print(swaps)


@contextlib.contextmanager
def racing(one, other, **user):
    """Exchange the names in the background. Yield a list that contains the number of exchanges at the end."""
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
