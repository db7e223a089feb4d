# SPDX-License-Identifier: LGPL-2.1-or-later
"""The build directory under test, its programs, and the options it was configured with."""

import functools
import json
import os
import pathlib
import subprocess

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("FSVC_BUILD", REPOSITORY / "build")).resolve()
FSVC = BUILD / "fsvc"
SERVERS = BUILD / "test" / "servers"


@functools.cache
def build_options():
    """Return the options of meson by name."""
    listed = subprocess.run(["/usr/bin/meson", "introspect", "--buildoptions", BUILD], check=True, stdout=subprocess.PIPE)
    return {option["name"]: option for option in json.loads(listed.stdout)}


def build_option(name):
    return build_options()[name]["value"]


def is_sanitized():
    return build_option("b_sanitize") not in ("none", [])  # a list since meson 1.8
