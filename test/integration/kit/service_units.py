# SPDX-License-Identifier: LGPL-2.1-or-later
"""Units for own services, from the text in doc/services.md."""

import re

from .throwaway_machine import REPO

UNITS = "/etc/systemd/system"
DOCUMENT = REPO / "doc/services.md"


def blocks(document=DOCUMENT):
    """Return the files in a document, by the path in the comment in their first line."""
    found = re.findall(r"^```ini\n# (\S+)\n(.*?)^```", document.read_text(), re.M | re.S)
    return dict(found)


def add_service(machine, name, program):
    """Add the units of the document with another type and program."""
    for path, text in blocks().items():
        if path in (f"{UNITS}/fsvc-mine.socket", f"{UNITS}/fsvc-mine@.service"):
            text = re.sub(r"^ExecStart=.*$", lambda _: f"ExecStart={program}", text, flags=re.M)
            machine.path(path.replace("mine", name)).write_text(text.replace("/mine", f"/{name}"))
