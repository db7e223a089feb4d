# SPDX-License-Identifier: LGPL-2.1-or-later
"""Directories that become an initramfs or the image of a root filesystem."""

import re
import shutil
import subprocess
from pathlib import Path


def libraries(program):
    """Return the libraries of a program with their loader, and libgcc_s, which the C library loads when a thread is
    cancelled. libfuse cancels threads at its end."""
    listed = subprocess.run(["ldd", program], check=True, stdout=subprocess.PIPE, text=True).stdout
    found = [Path(path) for path in re.findall(r"(/\S+) \(0x", listed)]
    return [*found, next(path for path in found if path.name == "libc.so.6").with_name("libgcc_s.so.1")]


class Tree:
    """A directory that becomes an initramfs, or an image of a root filesystem."""

    def __init__(self, directory):
        self.root = Path(directory)
        self.root.mkdir(exist_ok=True)

    def path_of(self, path):
        inside = self.root / str(path).lstrip("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        return inside

    def add(self, file, path=None):
        shutil.copy(file, self.path_of(path or file))

    def add_program(self, program):
        """Add a program and its libraries, with the same paths as on this system."""
        self.add(program)
        for library in libraries(program):
            self.add(library)

    def write(self, path, text):
        self.path_of(path).write_text(text)

    def link(self, path, target):
        self.path_of(path).symlink_to(target)

    def directories(self, *paths):
        for path in paths:
            (self.root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def cpio(self, file):
        """Pack the directory in the format of the kernel."""
        with open(file, "wb") as packed:
            names = subprocess.run(["find", ".", "-print0"], cwd=self.root, check=True, stdout=subprocess.PIPE)
            subprocess.run(["cpio", "--null", "--create", "--format=newc", "--quiet", "--owner=0:0"], cwd=self.root,
                           check=True, input=names.stdout, stdout=packed)
        return file
