# SPDX-License-Identifier: LGPL-2.1-or-later
"""Virtual machines that boot one of Debian's kernels into an initramfs of a few files."""

import functools
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

LONGEST_BOOT = 300  # seconds: in these it has to be off again
LONGEST_TRIAL = 20
QEMU = "qemu-system-x86_64"
SAID = re.compile(r"^BOOT: (.*?)\r?$", re.MULTILINE)


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


def qemu(kernel, initramfs, accelerator, disk=None, words=""):
    command = [QEMU, "-accel", accelerator, "-m", "512", "-smp", "1", "-nodefaults", "-no-reboot", "-display", "none",
               "-serial", "stdio", "-kernel", kernel.image, "-initrd", initramfs,
               "-append", f"console=ttyS0 panic=-1 quiet {words}"]
    if disk:
        command += ["-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"]
    return [str(word) for word in command]


@functools.cache
def accelerator():
    """The one that a trial has shown to work: a guest on a nested KVM may hang."""
    from . import kernels

    if not Path("/dev/kvm").exists():
        return "tcg"
    with tempfile.TemporaryDirectory() as directory:
        empty = Tree(Path(directory) / "tree").cpio(Path(directory) / "initramfs")
        try:
            # Without an init and a root it panics, and panic=-1 makes that a reboot: qemu ends.
            done = subprocess.run(qemu(kernels.fetch("bookworm"), empty, "kvm"), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LONGEST_TRIAL)
        except subprocess.TimeoutExpired:
            return "tcg"
        return "kvm" if done.returncode == 0 else "tcg"


def boot(kernel, initramfs, disk=None, words=""):
    """Boots until it is off again. Gives what was said, line by line, and the whole console."""
    command = qemu(kernel, initramfs, accelerator(), disk, words)
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=LONGEST_BOOT)
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"not off in {LONGEST_BOOT} s:\n{(late.stdout or b'').decode(errors='replace')}") from None
    console = done.stdout.decode(errors="replace")
    assert done.returncode == 0, console
    return SAID.findall(console), console
