# SPDX-License-Identifier: LGPL-2.1-or-later
"""The attempts of the hostile server: their names, their outcomes, and the table that shows them."""

import errno
import json
import os
import signal
from typing import NamedTuple

from .build_options import SERVERS

HOSTILE, HOSTILE_NAMES = SERVERS / "hostile", SERVERS / "hostile.names"

# Why an attempt fails outside as it does inside: what it wants is in no reach of anybody here.
NOWHERE = {
    "a socket of AF_ALG": "this kernel has none",
    "a socket of AF_BLUETOOTH": "this kernel has none",
    "survive others when memory runs out": "root in a container may lack CAP_SYS_RESOURCE",
}


class Row(NamedTuple):
    """An attempt: how it ended in a sandbox, and as root outside."""

    name: str
    inside: str
    outside: str

    @property
    def refused(self):
        return self.inside not in ("done", "missing")

    @property
    def real(self):
        """Whether it could have told a sandbox from none."""
        return self.outside not in (self.inside, "missing") or self.name in NOWHERE

    def verdict(self):
        if not self.refused:
            return "ESCAPED"
        if self.name in NOWHERE:
            return f"refused ({NOWHERE[self.name]})"
        return "refused" if self.real else "PROVES NOTHING"


def names():
    """What the hostile server tries; nothing where it is not built."""
    return HOSTILE_NAMES.read_text().splitlines() if HOSTILE_NAMES.exists() else []


def outcomes(text):
    return {name: in_words(outcome) for name, outcome in (line.split("\t") for line in text.splitlines() if "\t" in line)}


def in_words(outcome):
    """The name of an error or a signal, which the hostile server, built with any C library, gives as a number."""
    kind, _, number = outcome.partition(" ")
    if kind == "error":
        return errno.errorcode[int(number)]
    return signal.Signals(int(number)).name if kind == "signal" else outcome


def show(tables):
    """The rows of each manager side by side, for people; for a program where an environment variable names a file."""
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
