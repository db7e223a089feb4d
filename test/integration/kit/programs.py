# SPDX-License-Identifier: LGPL-2.1-or-later
"""Start programs, read their output, and end them."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from typing import NamedTuple

from .processes import descriptors_of, process_tree
from .waiting import TIMEOUT_S

NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


class Result(NamedTuple):
    code: int
    output: str
    errors: str
    seconds: float

    def one_line(self):
        """Return the only line of standard error. It must not contain control characters."""
        lines = self.errors.split("\n")
        assert len(lines) == 2 and lines[1] == "" and lines[0], f"not one line: {self.errors!r}"
        assert lines[0].isprintable(), f"control characters: {self.errors!r}"
        return lines[0]

    def usage_error(self):
        """Return the first line of a usage error. The second line must refer to --help, as that of coreutils does."""
        lines = self.errors.split("\n")
        assert len(lines) == 3 and lines[2] == "", f"not a usage error: {self.errors!r}"
        program = lines[0].partition(":")[0]
        assert lines[1] == f"Try '{program} --help' for more information."
        assert lines[0].isprintable(), f"control characters: {self.errors!r}"
        return lines[0]


class Program:
    """A process whose output goes to files, so that a daemon that inherits a pipe does not block the test."""

    def __init__(self, arguments, **options):
        self.files = [tempfile.TemporaryFile() for _ in range(2)]
        self.started = time.monotonic()
        streams = {"stdin": subprocess.DEVNULL, "stdout": self.files[0], "stderr": self.files[1]}
        self.process = subprocess.Popen([str(argument) for argument in arguments], **streams | options)

    @property
    def pid(self):
        return self.process.pid

    def output(self):
        """Return standard output and standard error so far."""
        return [os.pread(file.fileno(), 1 << 20, 0).decode(errors="backslashreplace") for file in self.files]

    def runs(self):
        return self.process.poll() is None

    def exit_code(self, timeout_s=TIMEOUT_S):
        """Wait for the end. Return the exit status, or the negative number of the signal."""
        return self.process.wait(timeout_s)

    def wait(self, timeout_s=TIMEOUT_S):
        """Wait for the end, which must not be by a signal. Return the result."""
        code = self.exit_code(timeout_s)
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
        """Return the targets of all file descriptors of the process and its descendants."""
        return [target for pid in process_tree(self.pid) for target in descriptors_of(pid)]

    def close(self):
        for pid in reversed(process_tree(self.pid)) if self.runs() else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        print(*filter(None, self.output()), sep="\n")  # shown if the test fails
        for file in self.files:
            file.close()
