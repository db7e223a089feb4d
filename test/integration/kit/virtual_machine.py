# SPDX-License-Identifier: LGPL-2.1-or-later
"""Boot one of Debian's kernels into an initramfs, in a virtual machine of qemu."""

import functools
import re
import subprocess
import tempfile
from pathlib import Path

from .initramfs import Tree

LONGEST_BOOT = 300  # seconds: in these it has to be off again
LONGEST_TRIAL = 20
QEMU = "qemu-system-x86_64"
SAID = re.compile(r"^BOOT: (.*?)\r?$", re.MULTILINE)


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
    from . import debian_kernels

    if not Path("/dev/kvm").exists():
        return "tcg"
    with tempfile.TemporaryDirectory() as directory:
        empty = Tree(Path(directory) / "tree").cpio(Path(directory) / "initramfs")
        try:
            # Without an init and a root it panics, and panic=-1 makes that a reboot: qemu ends.
            done = subprocess.run(qemu(debian_kernels.fetch("bookworm"), empty, "kvm"), stdin=subprocess.DEVNULL,
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
