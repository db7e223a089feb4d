# SPDX-License-Identifier: LGPL-2.1-or-later
"""A service of one's own, by the very text that doc/services.md tells an administrator to copy."""

import re

from .throwaway_machine import REPO

UNITS = "/etc/systemd/system"
DOCUMENT = REPO / "doc/services.md"


def blocks(document=DOCUMENT):
    """The files that a document shows, by the name that stands as a comment in their first line."""
    found = re.findall(r"^```ini\n# (\S+)\n(.*?)^```", document.read_text(), re.M | re.S)
    return dict(found)


def add_service(machine, name, program):
    """What the document says, with the type and the program changed."""
    for path, text in blocks().items():
        if path in (f"{UNITS}/fsvc-mine.socket", f"{UNITS}/fsvc-mine@.service"):
            text = re.sub(r"^ExecStart=.*$", lambda _: f"ExecStart={program}", text, flags=re.M)
            machine.path(path.replace("mine", name)).write_text(text.replace("/mine", f"/{name}"))
