# SPDX-License-Identifier: LGPL-2.1-or-later
"""Machines with the root filesystem on a contained FUSE server. The initramfs contains no shell and no systemd.

The initramfs contains the static executable with links to it, a FUSE server of Debian, and an init that runs a few
commands: mount the disk through the service, switch to it, run a program, and shut down in the correct order.
"""

import os
import re
import shutil
import subprocess

import pytest

from kit import debian_kernels, initramfs_tree, virtual_machine
from kit.build_options import REPOSITORY

pytestmark = pytest.mark.timeout(900)  # downloads a kernel, and boots may be emulated

INITRAMFS_SCRIPT = """
mount proc proc /proc
mount sysfs sysfs /sys
mount devtmpfs dev /dev
mount tmpfs run /run mode=755
{modules}
start /bin/fsvc-listen --root-filesystem {listen}
await /run/filesystems/{type}
run /bin/mount.fuse3 /dev/vda /root -t {type} -o {options},suid,dev,allow_other,fsvc=require
mount tmpfs initramfs /run/initramfs mode=755
copy /init /run/initramfs/init
copy /bin/fsvc /run/initramfs/bin/fsvc-umount
copy /etc/boot.last /run/initramfs/etc/boot
switch /root /sbin/init
"""
ROOT_SCRIPT = """
run /bin/cat /etc/message
{work}
end
leave /run/initramfs /init
"""
SHUTDOWN_SCRIPT = """
unmount /oldroot/dev /oldroot/proc /oldroot/sys /oldroot/run
run /bin/fsvc-umount /oldroot
drain
say unmounted
"""
NO_CAPABILITIES = "0" * 16
SURVIVOR_MESSAGE = f"kept: CapPrm: {NO_CAPABILITIES} CapBnd: {NO_CAPABILITIES} NoNewPrivs: 1 Seccomp: 2 "  # of both processes
MISSING_LAYERS = {"bullseye": ["Landlock"], "bookworm": [], "sid": []}
MESSAGE = "this text is on the disk"


@pytest.fixture(scope="session")
def executable(tmp_path_factory):
    """The static executable, linked with musl, and the test programs."""
    build = tmp_path_factory.mktemp("boot") / "build"
    options = ["-Dstatic=true", "--prefix=/usr"]
    for command in ["meson", "setup", build, REPOSITORY, *options], ["ninja", "-C", build, "fsvc", "test/boot/init"]:
        done = subprocess.run(command, env=os.environ | {"CC": "musl-gcc"}, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout
    subprocess.run(["strip", build / "fsvc"], check=True)
    return build / "fsvc"


@pytest.fixture(scope="session")
def init(executable):
    """The init program of the machine, which replaces a shell."""
    return executable.parent / "test" / "boot" / "init"


@pytest.fixture(params=debian_kernels.RELEASES)
def kernel(request):
    try:
        return debian_kernels.fetch(request.param)
    except debian_kernels.NoMirror as reason:
        pytest.skip(str(reason))


@pytest.fixture
def boot(work, kernel, request):
    """Boot from an image, and check the messages."""

    def boot(initramfs, image):
        said, console = virtual_machine.boot(kernel, initramfs, image)
        assert said == [SURVIVOR_MESSAGE, SURVIVOR_MESSAGE, "unmounted", "off"] and MESSAGE in console, console
        release = request.node.callspec.params["kernel"]
        assert re.findall(r"warning: (.+?) \(Linux [0-9.]+\) is not available", console) == MISSING_LAYERS[release], console

    return boot


@pytest.fixture
def initramfs(work, kernel, executable, init):
    def initramfs(server, **fields):
        tree = initramfs_tree.Tree(work / "initramfs")
        tree.add(init, "/init")
        tree.add(executable, "/bin/fsvc")
        for applet in "fsvc-listen", "mount.fuse3":
            tree.link(f"/bin/{applet}", "fsvc")
        tree.add_program(server)
        tree.directories("/root", "/tmp")
        for module in kernel.modules:
            tree.add(module, f"/modules/{module.name}")
        modules = "\n".join(f"load /modules/{module.name}" for module in kernel.modules)
        tree.write("/etc/boot", INITRAMFS_SCRIPT.format(modules=modules, **fields))
        tree.write("/etc/boot.last", SHUTDOWN_SCRIPT)
        return tree.cpio(work / "initramfs.cpio")

    return initramfs


@pytest.fixture
def root(work, init):
    """The files of a small root filesystem."""
    tree = initramfs_tree.Tree(work / "root")
    tree.add(init, "/sbin/init")
    tree.add_program("/bin/cat")
    tree.directories("/dev", "/proc", "/sys", "/run", "/var")
    tree.write("/etc/message", f"{MESSAGE}\n")
    return tree


def output(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done
    return done.stdout


def test_machine_boots_from_squashfs_and_shuts_down(work, boot, initramfs, root):
    root.write("/etc/boot", ROOT_SCRIPT.format(work=""))
    image = work / "root.squashfs"
    subprocess.run(["mksquashfs", root.root, image, "-quiet", "-no-progress", "-all-root"], check=True)
    boot(initramfs(shutil.which("squashfuse"), type="squashfs", options="ro",
                   listen="--read-only squashfs -- squashfuse -f"), image)


def test_ext4_root_filesystem_is_clean_after_shutdown(work, boot, initramfs, root):
    root.write("/etc/boot", ROOT_SCRIPT.format(work="write /var/written kept"))
    image = work / "root.ext4"
    subprocess.run(["mkfs.ext4", "-q", "-d", root.root, "-E", "root_owner=0:0", image, "64M"], check=True)
    boot(initramfs(shutil.which("fuse2fs"), type="ext4", options="rw", listen="ext4 -- fuse2fs -f"), image)
    assert re.findall(r"^Filesystem state: +(.*)$", output("dumpe2fs", "-h", image), re.MULTILINE) == ["clean"]
    output("e2fsck", "-f", "-n", image)
    assert output("debugfs", "-R", "cat /var/written", image) == "kept\n"
