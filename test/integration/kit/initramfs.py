# SPDX-License-Identifier: LGPL-2.1-or-later
"""Directories that become an initramfs or the image of a root filesystem."""

import re
import shutil
import subprocess
from pathlib import Path


def libraries(program):
    """What a dynamic program needs to run, its loader included: names as they are looked for. And what the C library
    loads by itself when a thread is cancelled, as libfuse does at the end: without it the server is aborted."""
    listed = subprocess.run(["ldd", program], check=True, stdout=subprocess.PIPE, text=True).stdout
    found = [Path(path) for path in re.findall(r"(/\S+) \(0x", listed)]
    return [*found, next(path for path in found if path.name == "libc.so.6").with_name("libgcc_s.so.1")]


class Tree:
    """A directory that becomes an initramfs, or an image of a root filesystem."""

    def __init__(self, directory):
        self.root = Path(directory)
        self.root.mkdir(exist_ok=True)

    def place(self, path):
        inside = self.root / str(path).lstrip("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        return inside

    def add(self, file, path=None):
        shutil.copy(file, self.place(path or file))

    def add_program(self, program):
        """With its libraries, all at the places where they are here."""
        self.add(program)
        for library in libraries(program):
            self.add(library)

    def write(self, path, text):
        self.place(path).write_text(text)

    def link(self, path, target):
        self.place(path).symlink_to(target)

    def directories(self, *paths):
        for path in paths:
            (self.root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def cpio(self, file):
        """Packs it as the kernel unpacks it."""
        with open(file, "wb") as packed:
            names = subprocess.run(["find", ".", "-print0"], cwd=self.root, check=True, stdout=subprocess.PIPE)
            subprocess.run(["cpio", "--null", "--create", "--format=newc", "--quiet", "--owner=0:0"], cwd=self.root,
                           check=True, input=names.stdout, stdout=packed)
        return file
