# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs under test: start them, read their output, and end them in any case."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from typing import NamedTuple

from .processes import descriptors_of, family
from .waiting import PATIENCE

NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


class Result(NamedTuple):
    code: int
    output: str
    errors: str
    seconds: float

    def one_line(self):
        """The only line of standard error, which holds nothing that a terminal would obey."""
        lines = self.errors.split("\n")
        assert len(lines) == 2 and lines[1] == "" and lines[0], f"not one line: {self.errors!r}"
        assert lines[0].isprintable(), f"control characters: {self.errors!r}"
        return lines[0]

    def usage_error(self):
        """The problem that a usage error names; a second line refers to --help, as getopt and coreutils print it."""
        lines = self.errors.split("\n")
        assert len(lines) == 3 and lines[2] == "", f"not a usage error: {self.errors!r}"
        program = lines[0].partition(":")[0]
        assert lines[1] == f"Try '{program} --help' for more information."
        assert lines[0].isprintable(), f"control characters: {self.errors!r}"
        return lines[0]


class Program:
    """A process whose output goes to files, so that nobody waits for a pipe that a daemon has inherited."""

    def __init__(self, arguments, **options):
        self.files = [tempfile.TemporaryFile() for _ in range(2)]
        self.started = time.monotonic()
        streams = {"stdin": subprocess.DEVNULL, "stdout": self.files[0], "stderr": self.files[1]}
        self.process = subprocess.Popen([str(argument) for argument in arguments], **streams | options)

    @property
    def pid(self):
        return self.process.pid

    def output(self):
        """What it has written so far, on standard output and on standard error."""
        return [os.pread(file.fileno(), 1 << 20, 0).decode(errors="backslashreplace") for file in self.files]

    def runs(self):
        return self.process.poll() is None

    def exit_code(self, patience=PATIENCE):
        """After its end, which may be by a signal, and then the code is the negative number of that."""
        return self.process.wait(patience)

    def wait(self, patience=PATIENCE):
        """Its end, which must be one of its own choice."""
        code = self.exit_code(patience)
        seconds = time.monotonic() - self.started
        output, errors = self.output()
        assert code >= 0, f"killed by signal {-code}: {errors}"
        return Result(code, output, errors, seconds)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def descriptors(self):
        """What its descriptors point to."""
        return [target for pid in family(self.pid) for target in descriptors_of(pid)]

    def close(self):
        for pid in reversed(family(self.pid)) if self.runs() else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        print(*filter(None, self.output()), sep="\n")  # shown where the test has failed
        for file in self.files:
            file.close()
