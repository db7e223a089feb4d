# SPDX-License-Identifier: LGPL-2.1-or-later
"""What can be found out about a server's program: its version, its FUSE library, its language."""

import re
from pathlib import Path

from . import real_servers


def facts(machine, server):
    words = real_servers.command(machine, server)[1]
    path = machine.run("sh", "-c", 'readlink -f "$(which "$1")"', "sh", words[0]).stdout.strip()
    package = real_servers.package(machine, server)
    return {"server": Path(words[0]).name, "package": package, "version": version(machine, package),
            "library": library(machine, path), "language": language(machine, path)}


def version(machine, package):
    return machine.run("dpkg-query", "--show", "--showformat=${Version}", package, check=False).stdout


def library(machine, path):
    """By what it is linked with, or by its knowing of /dev/fuse itself."""
    linked = machine.run("ldd", path, check=False).stdout
    if found := re.search(r"libfuse3?\.so\.\d+ => (\S+)", linked):
        real = machine.run("readlink", "-f", found[1]).stdout.strip()
        return "libfuse " + real.rpartition(".so.")[2]
    knows = machine.run("grep", "--quiet", "--text", "--fixed-strings", "/dev/fuse", path, check=False)
    return "its own" if knows.returncode == 0 else "?"


def language(machine, path):
    headers = machine.run("readelf", "--wide", "--section-headers", "--dynamic", path, check=False).stdout
    if ".go.buildinfo" in headers:
        return "Go"
    if "libstdc++" in headers:
        return "C++"
    return "C" if headers else "Python"
