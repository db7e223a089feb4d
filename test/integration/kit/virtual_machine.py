# SPDX-License-Identifier: LGPL-2.1-or-later
"""Boot one of Debian's kernels into an initramfs, in a virtual machine of qemu."""

import functools
import re
import subprocess
import tempfile
from pathlib import Path

from .initramfs_tree import Tree

BOOT_TIMEOUT_S = 300  # until it is switched off
TRIAL_TIMEOUT_S = 20
QEMU = "qemu-system-x86_64"
MESSAGE = re.compile(r"^BOOT: (.*?)\r?$", re.MULTILINE)


def qemu(kernel, initramfs, accelerator, disk=None, parameters=""):
    command = [QEMU, "-accel", accelerator, "-m", "512", "-smp", "1", "-nodefaults", "-no-reboot", "-display", "none",
               "-serial", "stdio", "-kernel", kernel.image, "-initrd", initramfs,
               "-append", f"console=ttyS0 panic=-1 quiet {parameters}"]
    if disk:
        command += ["-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"]
    return [str(word) for word in command]


@functools.cache
def accelerator():
    """Return "kvm" if a test boot succeeds, else "tcg". Nested KVM may hang."""
    from . import debian_kernels

    if not Path("/dev/kvm").exists():
        return "tcg"
    with tempfile.TemporaryDirectory() as directory:
        empty = Tree(Path(directory) / "tree").cpio(Path(directory) / "initramfs")
        try:
            # Without an init and a root filesystem the kernel panics, and panic=-1 makes qemu exit.
            done = subprocess.run(qemu(debian_kernels.fetch("bookworm"), empty, "kvm"), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=TRIAL_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return "tcg"
        return "kvm" if done.returncode == 0 else "tcg"


def boot(kernel, initramfs, disk=None, parameters=""):
    """Boot until the machine is switched off. Return the messages of the init, and the output on the console."""
    command = qemu(kernel, initramfs, accelerator(), disk, parameters)
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=BOOT_TIMEOUT_S)
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"still on after {BOOT_TIMEOUT_S} s:\n{(late.stdout or b'').decode(errors='replace')}") from None
    console = done.stdout.decode(errors="replace")
    assert done.returncode == 0, console
    return MESSAGE.findall(console), console
