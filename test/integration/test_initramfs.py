# SPDX-License-Identifier: LGPL-2.1-or-later
"""The hooks for initramfs-tools and dracut: a machine boots with its root filesystem on a FUSE server, and shuts down."""

import contextlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kit import debian_kernels, mounts, virtual_machine
from kit.build_options import REPOSITORY
from test_boot import MESSAGE, executable, init, output, root  # noqa: F401, fixtures

pytestmark = pytest.mark.timeout(900)  # downloads a kernel, and boots may be emulated

RELEASE = "bookworm"
SERVICES = "# services for the root filesystem\n--root-filesystem ext4 -- fuse2fs -f\n"
SECOND_SCRIPT = """
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
    """Run meson install, and configure services for the root filesystem. Return the directory."""
    directory = tmp_path_factory.mktemp("initramfs")
    options = ["-Dinitramfs=initramfs-tools,dracut", "-Dtests=false", "-Dsystemd_unit_dir=no", "--libdir=lib",
               f"--prefix={directory / 'usr'}", f"--sysconfdir={directory / 'etc'}"]
    for command in ["meson", "setup", directory / "build", REPOSITORY, *options], ["meson", "install", "-C", directory / "build"]:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    (directory / "etc" / "fsvc").mkdir(parents=True)
    (directory / "etc" / "fsvc" / "initramfs").write_text(SERVICES)
    return directory


@contextlib.contextmanager
def kernel_in_place(kernel, *more):
    """Mount the kernel on /boot and its modules on /usr/lib, and also MORE directories on /usr/lib."""
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
    root.write("/etc/boot", SECOND_SCRIPT)
    image = work / "root.ext4"
    output("mkfs.ext4", "-q", "-d", root.root, "-E", "root_owner=0:0", image, "64M")
    return image


def assert_boots_and_shuts_down(kernel, initramfs, image, parameters):
    said, console = virtual_machine.boot(kernel, initramfs, image, parameters)
    assert MESSAGE in console and [line.split(":")[0] for line in said] == ["kept"] * 2, console
    assert re.findall(r"^Filesystem state: +(.*)$", output("dumpe2fs", "-h", image), re.MULTILINE) == ["clean"], console
    output("e2fsck", "-f", "-n", image)
    assert output("debugfs", "-R", "cat /var/written", image) == "kept\n"
    return console


def test_machine_boots_and_shuts_down_with_initramfs_tools(work, kernel, installed, image):
    settings = Path(shutil.copytree("/etc/initramfs-tools", work / "settings"))
    shutil.copytree(installed / "usr/share/initramfs-tools", settings, dirs_exist_ok=True)
    (settings / "conf.d" / "test").write_text("MODULES=list\nBUSYBOX=auto\nCOMPRESS=gzip\n")
    (settings / "modules").write_text("virtio_pci\nvirtio_blk\n")
    with kernel_in_place(kernel):
        output("mkinitramfs", "-d", settings, "-o", work / "initramfs", kernel.version)
    console = assert_boots_and_shuts_down(kernel, work / "initramfs", image, "boot=fsvc root=/dev/vda rootfstype=ext4 rw")
    assert "fsvc: the root filesystem is unmounted" in console


# Runs the shutdown script in its own PID namespace, with a process whose argv[0] is $1. The commands that would switch the
# machine off do nothing.
RUN_SHUTDOWN_SCRIPT = """
mount --bind "$2/busybox" /usr/bin/busybox
(exec -a "$1" sh -c "$3") &
until grep -q "^$1" /proc/$!/cmdline; do sleep 0.01; done
exec sh "$4" poweroff
"""
BUSYBOX = """#!/bin/sh
case $1 in poweroff) exit ;; esac
exec {real} "$@"
"""
OTHER_PROCESS = "@usr/sbin/plymouthd", "sleep 1000"
SERVER_PROCESS = "@/fsvc-open", "sleep 2; touch {work}/written"
SHUTDOWN_SCRIPTS = REPOSITORY / "units/initramfs-tools/shutdown", REPOSITORY / "units/dracut/wait.sh"


@pytest.fixture(params=SHUTDOWN_SCRIPTS, ids=lambda script: script.parent.name)
def run_shutdown_script(work, request):
    """Run the shutdown script of the initramfs while a process is left. It must end."""
    (work / "real").mkdir()
    (work / "busybox").write_text(BUSYBOX.format(real=shutil.copy("/usr/bin/busybox", work / "real")))
    (work / "busybox").chmod(0o755)

    def run_shutdown_script(name, script):
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-ec", RUN_SHUTDOWN_SCRIPT,
                   "bash", name, work, script.format(work=work), request.param]
        subprocess.run(command, check=False, stdin=subprocess.DEVNULL, timeout=60)

    return run_shutdown_script


def test_shutdown_does_not_wait_for_other_processes(run_shutdown_script):
    """Programs such as plymouth also have an argv[0] that begins with "@"."""
    run_shutdown_script(*OTHER_PROCESS)


def test_shutdown_waits_for_server_of_root_filesystem(run_shutdown_script, work):
    run_shutdown_script(*SERVER_PROCESS)
    assert (work / "written").exists()


RESTORE_SCRIPT = """#!/bin/busybox sh
cd /run/initramfs && exec /bin/busybox cpio -idm --quiet </boot/initramfs
"""
UNPACK_INITRAMFS = """
mount tmpfs initramfs /run/initramfs mode=755
run /bin/restore
"""


@pytest.fixture
def dracut_initramfs(work, kernel, installed):
    """An uncompressed initramfs for this kernel."""
    (work / "settings").mkdir()
    (work / "dracut.conf").touch()
    with kernel_in_place(kernel, installed / "usr/lib"):
        output("dracut", "--conf", work / "dracut.conf", "--confdir", work / "settings", "--no-hostonly", "--no-compress",
               "--modules", "base dash udev-rules shutdown fsvc", "--force-drivers", "virtio_pci virtio_blk",
               "--kver", kernel.version, work / "initramfs")
    return work / "initramfs"


def test_machine_boots_and_shuts_down_with_dracut(work, kernel, dracut_initramfs, root):
    """The initramfs that unmounts is unpacked from the root filesystem, as the systemd unit of dracut does."""
    root.write("/etc/boot", UNPACK_INITRAMFS + SECOND_SCRIPT)
    root.add_program("/bin/busybox")
    root.add(dracut_initramfs, "/boot/initramfs")
    root.write("/bin/restore", RESTORE_SCRIPT)
    root.path_of("/bin/restore").chmod(0o755)
    image = work / "root.ext4"
    output("mkfs.ext4", "-q", "-d", root.root, "-E", "root_owner=0:0", image, "256M")
    console = assert_boots_and_shuts_down(kernel, dracut_initramfs, image, "root=fsvc:ext4:/dev/vda rw")
    assert "Unmounted /oldroot." in console
