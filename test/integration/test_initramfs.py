# SPDX-License-Identifier: LGPL-2.1-or-later
"""The hooks for initramfs-tools and dracut: what they put together boots from a FUSE server's root, and loses nothing."""

import contextlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kit import debian_kernels, mounts, virtual_machine
from kit.build_options import REPOSITORY
from test_boot import MESSAGE, executable, init, output, root  # noqa: F401, fixtures

pytestmark = pytest.mark.timeout(900)  # a kernel is fetched first, and boots may be emulated

RELEASE = "bookworm"
OFFERS = "# what the root filesystem may be\n--root-filesystem ext4 -- fuse2fs -f\n"
WORK = """
run /bin/cat /etc/message
write /var/written kept
end
leave /run/initramfs /shutdown poweroff
"""


@pytest.fixture(scope="module")
def kernel():
    try:
        return debian_kernels.fetch(RELEASE)
    except debian_kernels.NoMirror as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What meson installs, with services for the root filesystem."""
    place = tmp_path_factory.mktemp("initramfs")
    options = ["-Dinitramfs=initramfs-tools,dracut", "-Dtests=false", "-Dsystemd_unit_dir=no", "--libdir=lib",
               f"--prefix={place / 'usr'}", f"--sysconfdir={place / 'etc'}"]
    for command in ["meson", "setup", place / "build", REPOSITORY, *options], ["meson", "install", "-C", place / "build"]:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    (place / "etc" / "fsvc").mkdir(parents=True)
    (place / "etc" / "fsvc" / "initramfs").write_text(OFFERS)
    return place


@contextlib.contextmanager
def installed_here(kernel, *more):
    """The kernel where tools look for it and its modules; and what there is MORE for /usr/lib."""
    lower = ":".join(str(directory) for directory in (*more, (kernel.root / "lib").resolve(), "/usr/lib"))
    mounts.mount("modules", "/usr/lib", "overlay", 0, f"lowerdir={lower}")
    mounts.mount(kernel.root / "boot", "/boot", None, mounts.BIND)
    try:
        yield
    finally:
        mounts.detach("/boot")
        mounts.detach("/usr/lib")


@pytest.fixture
def image(work, root):
    root.write("/etc/boot", WORK)
    image = work / "root.ext4"
    output("mkfs.ext4", "-q", "-d", root.root, "-E", "root_owner=0:0", image, "64M")
    return image


def boots_and_keeps(kernel, initramfs, image, words):
    said, console = virtual_machine.boot(kernel, initramfs, image, words)
    assert MESSAGE in console and [line.split(":")[0] for line in said] == ["spared"] * 2, console
    assert re.findall(r"^Filesystem state: +(.*)$", output("dumpe2fs", "-h", image), re.MULTILINE) == ["clean"], console
    output("e2fsck", "-f", "-n", image)
    assert output("debugfs", "-R", "cat /var/written", image) == "kept\n"
    return console


def test_a_machine_boots_by_initramfs_tools_and_shuts_down(work, kernel, installed, image):
    settings = Path(shutil.copytree("/etc/initramfs-tools", work / "settings"))
    shutil.copytree(installed / "usr/share/initramfs-tools", settings, dirs_exist_ok=True)
    (settings / "conf.d" / "test").write_text("MODULES=list\nBUSYBOX=auto\nCOMPRESS=gzip\n")
    (settings / "modules").write_text("virtio_pci\nvirtio_blk\n")
    with installed_here(kernel):
        output("mkinitramfs", "-d", settings, "-o", work / "initramfs", kernel.version)
    console = boots_and_keeps(kernel, work / "initramfs", image, "boot=fsvc root=/dev/vda rootfstype=ext4 rw")
    assert "fsvc: the root filesystem is unmounted" in console


# In processes of its own, of which $1 is the name of one; what would end the machine does nothing.
AT_THE_END = """
mount --bind "$2/busybox" /usr/bin/busybox
(exec -a "$1" sh -c "$3") &
until grep -q "^$1" /proc/$!/cmdline; do sleep 0.01; done
exec sh "$4" poweroff
"""
BUSYBOX = """#!/bin/sh
case $1 in poweroff) exit ;; esac
exec {real} "$@"
"""
SPARED = "@usr/sbin/plymouthd", "sleep 1000"
SERVES = "@/fsvc-open", "sleep 2; touch {work}/written"
WAITING = REPOSITORY / "units/initramfs-tools/shutdown", REPOSITORY / "units/dracut/wait.sh"


@pytest.fixture(params=WAITING, ids=lambda script: script.parent.name)
def at_the_end(work, request):
    """What the initramfs does when the root is unmounted and a process is left: whether it comes to an end."""
    (work / "real").mkdir()
    (work / "busybox").write_text(BUSYBOX.format(real=shutil.copy("/usr/bin/busybox", work / "real")))
    (work / "busybox").chmod(0o755)

    def at_the_end(name, does):
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-ec", AT_THE_END,
                   "bash", name, work, does.format(work=work), request.param]
        subprocess.run(command, check=False, stdin=subprocess.DEVNULL, timeout=60)

    return at_the_end


def test_the_end_waits_for_nobody_else_who_was_spared(at_the_end):
    """Who shows a picture at shutdown calls itself so too, and stays."""
    at_the_end(*SPARED)


def test_the_end_waits_until_the_server_has_written_back(at_the_end, work):
    at_the_end(*SERVES)
    assert (work / "written").exists()


RESTORE = """#!/bin/busybox sh
cd /run/initramfs && exec /bin/busybox cpio -idm --quiet </boot/initramfs
"""
AGAIN = """
mount tmpfs initramfs /run/initramfs mode=755
run /bin/restore
"""


@pytest.fixture
def by_dracut(work, kernel, installed):
    """As it is made for this kernel, uncompressed."""
    (work / "settings").mkdir()
    (work / "dracut.conf").touch()
    with installed_here(kernel, installed / "usr/lib"):
        output("dracut", "--conf", work / "dracut.conf", "--confdir", work / "settings", "--no-hostonly", "--no-compress",
               "--modules", "base dash udev-rules shutdown fsvc", "--force-drivers", "virtio_pci virtio_blk",
               "--kver", kernel.version, work / "initramfs")
    return work / "initramfs"


def test_a_machine_boots_by_dracut_and_shuts_down(work, kernel, by_dracut, root):
    """What unmounts is the initramfs, unpacked again from the root filesystem, as dracut's unit for systemd does it."""
    root.write("/etc/boot", AGAIN + WORK)
    root.add_program("/bin/busybox")
    root.add(by_dracut, "/boot/initramfs")
    root.write("/bin/restore", RESTORE)
    root.place("/bin/restore").chmod(0o755)
    image = work / "root.ext4"
    output("mkfs.ext4", "-q", "-d", root.root, "-E", "root_owner=0:0", image, "256M")
    console = boots_and_keeps(kernel, by_dracut, image, "root=fsvc:ext4:/dev/vda rw")
    assert "Unmounted /oldroot." in console
