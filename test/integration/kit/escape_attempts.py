# SPDX-License-Identifier: LGPL-2.1-or-later
"""The attempts of the hostile server: names, results, and the table of results."""

import errno
import json
import os
import signal
from typing import NamedTuple

from .build_options import SERVERS

HOSTILE, HOSTILE_NAMES = SERVERS / "hostile", SERVERS / "hostile.names"

# Attempts that can also fail outside the sandbox, and why.
MAY_FAIL_OUTSIDE = {
    "a socket of AF_ALG": "this kernel has none",
    "a socket of AF_BLUETOOTH": "not in this kernel",
    "lower its OOM score": "root in a container may lack CAP_SYS_RESOURCE",
}


class Row(NamedTuple):
    """The results of an attempt in a sandbox, and as root outside."""

    name: str
    inside: str
    outside: str

    @property
    def is_refused(self):
        return self.inside not in ("done", "missing")

    @property
    def is_meaningful(self):
        """Return true if the result outside shows that the sandbox made the attempt fail."""
        return self.outside not in (self.inside, "missing") or self.name in MAY_FAIL_OUTSIDE

    def verdict(self):
        if not self.is_refused:
            return "ESCAPED"
        if self.name in MAY_FAIL_OUTSIDE:
            return f"is_refused ({MAY_FAIL_OUTSIDE[self.name]})"
        return "is_refused" if self.is_meaningful else "NOT MEANINGFUL"


def names():
    """Return the names of all attempts, or none if the hostile server is not built."""
    return HOSTILE_NAMES.read_text().splitlines() if HOSTILE_NAMES.exists() else []


def outcomes(text):
    return {name: name_of_result(outcome) for name, outcome in (line.split("\t") for line in text.splitlines() if "\t" in line)}


def name_of_result(outcome):
    """Replace the number in a result by the name of the error or the signal."""
    kind, _, number = outcome.partition(" ")
    if kind == "error":
        return errno.errorcode[int(number)]
    return signal.Signals(int(number)).name if kind == "signal" else outcome


def show(tables):
    """Print the results of all managers as a table, and also write them as JSON to $FSVC_ESCAPE_TABLE if it is set."""
    columns = "".join(f"{manager:13} " for manager in tables)
    lines = [f"{'attempt':46} {columns}{'as root outside':16} verdict"]
    for row, *others in zip(*tables.values()):
        answers = "".join(f"{each.inside:13} " for each in (row, *others))
        verdicts = sorted({each.verdict() for each in (row, *others)})
        lines.append(f"{row.name:46} {answers}{row.outside:16} {', '.join(verdicts)}")
    print("\n".join(lines))
    if path := os.environ.get("FSVC_ESCAPE_TABLE"):
        with open(path, "w") as file:
            json.dump({manager: [row._asdict() | {"verdict": row.verdict()} for row in rows]
                       for manager, rows in tables.items()}, file, indent=1)
