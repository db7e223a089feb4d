# SPDX-License-Identifier: LGPL-2.1-or-later
"""Information about the program of a server: version, FUSE library, programming language."""

import re
from pathlib import Path

from . import real_servers


def describe_server(machine, server):
    command = real_servers.command(machine, server)[1]
    path = machine.run("sh", "-c", 'readlink -f "$(which "$1")"', "sh", command[0]).stdout.strip()
    package = real_servers.package(machine, server)
    return {"server": Path(command[0]).name, "package": package, "version": version(machine, package),
            "library": library(machine, path), "language": language(machine, path)}


def version(machine, package):
    return machine.run("dpkg-query", "--show", "--showformat=${Version}", package, check=False).stdout


def library(machine, path):
    """Return the version of libfuse that it is linked to, or "its own" if it contains /dev/fuse."""
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
