# SPDX-License-Identifier: LGPL-2.1-or-later
"""What was written is on the medium, however the filesystem ends: unmounted, its service stopped, the machine off."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from kit import loop_devices, mounts
from kit.installed_machine import needs_a_machine
from kit.throwaway_machine import REPO, Machine
from kit.build_options import BUILD, SERVERS
from kit.waiting import wait_for
from test_machine import add_service, instances, mount

INSIDE = "/media"  # where the machine sees the directory that outlives it
SLOW_SECONDS = 5  # what slow_flush takes to write back
POWER_CUTS = 3

# What is done to each filesystem, and to a directory to compare with: $1 holds files to begin with. What is mapped
# is still in the kernel when all else has reached the server.
WORK = r"""
set -e
cp -r "$1"/. .
mv noise moved
truncate -s 5000000 moved
printf 'in the middle' | dd of=moved bs=1 seek=1234567 conv=notrunc status=none
rm small/7
exec python3 -c 'if True:
    import mmap
    with open("mapped", "r+b") as file:
        with mmap.mmap(file.fileno(), 0) as mapped:
            mapped[:] = bytes(range(256)) * (len(mapped) // 256)
'"""


class Kind(NamedTuple):
    """A type of filesystem: how an image is made, how it is checked, and who shows it, uncontained."""

    make: tuple
    check: tuple
    show: tuple


KINDS = {
    "ext4": Kind(("mkfs.ext4", "-q", "-F"), ("e2fsck", "-fn"), ("mount", "-t", "ext4", "-o", "ro")),
    "exfat": Kind(("mkfs.exfat",), ("fsck.exfat", "-n"), ("mount.exfat-fuse", "-o", "ro")),
    "ntfs": Kind(("mkntfs", "-Q", "-F", "-q"), ("ntfsresize", "--info"), ("ntfs-3g", "-o", "ro")),
}


class Survived(Machine):
    """A machine with a directory that is still there when it is not."""

    def __init__(self, directory):
        super().__init__(layers=(REPO, BUILD))
        self.directory = directory

    def nspawn_options(self):
        return [*super().nspawn_options(), f"--bind={self.directory}:{INSIDE}"]

    def start(self):
        super().start()
        self.run("meson", "install", "--no-rebuild", "-C", BUILD)
        shutil.copy(SERVERS / "slow_flush", self.path("/usr/local/bin"))
        add_service(self, "slow", "/usr/bin/fsvc-open -- /usr/local/bin/slow_flush {source} {mountpoint} -f")
        self.run("systemctl", "daemon-reload")
        sockets = [f"fsvc-{name}.socket" for name in ("slow", *KINDS)]
        self.run("systemctl", "start", "remote-fs.target", *sockets)  # the target as in any machine that is up


@pytest.fixture(scope="module")
def outliving():
    """Not below /tmp, of which nspawn has its own."""
    directory = Path(tempfile.mkdtemp(prefix="fsvc-", dir="/var/tmp"))
    begin = directory / "begin"
    (begin / "small").mkdir(parents=True)
    (begin / "noise").write_bytes(os.urandom(8 << 20))
    (begin / "mapped").write_bytes(bytes(1 << 20))
    for number in range(200):
        (begin / "small" / str(number)).write_bytes(os.urandom(100 * number))
    expected = directory / "expected"
    expected.mkdir()
    subprocess.run(["sh", "-c", WORK, "sh", begin], cwd=expected, check=True)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def machine(outliving):
    needs_a_machine()
    with Survived(outliving) as machine:
        yield machine


@pytest.fixture(params=["file", "loop"])
def on(request):
    return request.param


def make_image(outliving, name):
    """An image, empty but for its filesystem; like most disks it belongs to root alone."""
    image = outliving / f"{name}.img"
    image.unlink(missing_ok=True)
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    image.chmod(0o600)
    subprocess.run([*KINDS[name].make, image], check=True, capture_output=True)
    return image


def mount_and_work(machine, name, source):
    """Mounts it in the machine and writes to it; gives the mountpoint."""
    target = f"/mnt/{name}"
    machine.run("mkdir", "-p", target)
    mount(machine, name, source, target)
    machine.run("sh", "-c", f"cd {target} && set -- {INSIDE}/begin\n{WORK}")
    return target


def assert_complete(outliving, name, mountpoint):
    """Its own checker finds no fault, and each byte is there."""
    image, kind = outliving / f"{name}.img", KINDS[name]
    checked = subprocess.run([*kind.check, image], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with loop_devices.loop_device(image) as device:
        subprocess.run([*kind.show, device, mountpoint], check=True, timeout=30)
        try:
            shown = subprocess.run(["diff", "-r", "-x", "lost+found", outliving / "expected", mountpoint],
                                   capture_output=True, text=True)
            assert shown.returncode == 0, shown.stdout + shown.stderr
        finally:
            mounts.unmount(mountpoint)


def wait_for_the_end(machine):
    wait_for(lambda: not instances(machine), 30, "the end of all services")


def words_of_failure(machine):
    """What systemd says when a service did not end by itself, or not well."""
    machine.run("journalctl", "--sync")
    log = machine.run("journalctl", "-u", "fsvc-*@*", "-o", "cat").stdout
    return [line for line in log.splitlines() if "Killing" in line or "timed out" in line or "SIGKILL" in line]


def make_slow(outliving):
    """A source for slow_flush, and what is to be written to it."""
    (outliving / "slow.img").write_bytes(bytes(8 << 20))
    new = outliving / "new"
    new.write_bytes(os.urandom(8 << 20))
    return f"{INSIDE}/slow.img"


def mount_and_work_slow(machine, source):
    machine.run("mkdir", "-p", "/mnt/slow")
    mount(machine, "slow", source, "/mnt/slow")
    machine.run("dd", f"if={INSIDE}/new", "of=/mnt/slow/data", "bs=64k", "conv=notrunc", "status=none")


def assert_slow_complete(outliving):
    assert (outliving / "slow.img").read_bytes() == (outliving / "new").read_bytes()


def source_on(machine, on, image):
    inside = f"{INSIDE}/{image.name}"
    return machine.loop(inside) if on == "loop" else inside


# one end, in order


@pytest.mark.parametrize("name", KINDS)
def test_unmounted(machine, outliving, mountpoint, name, on):
    target = mount_and_work(machine, name, source_on(machine, on, make_image(outliving, name)))
    machine.run("umount", target)
    wait_for_the_end(machine)
    assert_complete(outliving, name, mountpoint)
    assert not words_of_failure(machine)


@pytest.mark.parametrize("name", KINDS)
def test_service_stopped(machine, outliving, mountpoint, name, on):
    """By an administrator who forgot that somebody has it mounted."""
    target = mount_and_work(machine, name, source_on(machine, on, make_image(outliving, name)))
    service, = instances(machine)
    machine.run("systemctl", "stop", service)
    machine.run("umount", target, check=False)
    assert_complete(outliving, name, mountpoint)
    assert not words_of_failure(machine)


# a server that takes its time


def test_slow_unmounted(machine, outliving):
    mount_and_work_slow(machine, make_slow(outliving))
    machine.run("umount", "/mnt/slow")
    wait_for_the_end(machine)
    assert_slow_complete(outliving)


def test_slow_stopped(machine, outliving):
    mount_and_work_slow(machine, make_slow(outliving))
    machine.run("systemctl", "stop", *instances(machine))
    machine.run("umount", "/mnt/slow", check=False)
    assert_slow_complete(outliving)


def test_slow_stopped_while_it_writes_back(machine, outliving):
    """Behind its loop libfuse no longer catches SIGTERM: what reaches a server now kills it."""
    mount_and_work_slow(machine, make_slow(outliving))
    machine.run("umount", "/mnt/slow")
    time.sleep(SLOW_SECONDS / 5)
    machine.run("systemctl", "stop", *instances(machine))
    assert_slow_complete(outliving)


# the end of everything


def power_off(machine):
    machine.run("systemctl", "poweroff")
    machine.nspawn.wait(60)


@pytest.mark.parametrize("cut", range(POWER_CUTS))
def test_powered_off(outliving, mountpoint, cut):
    images = {name: make_image(outliving, name) for name in KINDS}
    with Survived(outliving) as machine:
        mount_and_work_slow(machine, make_slow(outliving))
        for name in KINDS:
            mount_and_work(machine, name, f"{INSIDE}/{images[name].name}")
        power_off(machine)
    for name in KINDS:
        assert_complete(outliving, name, mountpoint)
    assert_slow_complete(outliving)


def test_powered_off_with_lines_in_fstab(outliving, mountpoint):
    """By mount(8), umount(8) and systemd's mount units, with fsvc in the place of libfuse's helpers."""
    images = {name: make_image(outliving, name) for name in KINDS}
    with Survived(outliving) as machine:
        machine.run("sh", "-c", "for call in mount umount; do ln -sf /usr/bin/fsvc /usr/sbin/$call.fuse; done")
        lines = [f"{INSIDE}/{image.name} /mnt/{name} fuse.{name} _netdev,x-systemd.requires=fsvc-{name}.socket 0 0\n"
                 for name, image in images.items()]
        machine.path("/etc/fstab").write_text("".join(lines))
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "start", "remote-fs.target", *(f"mnt-{name}.mount" for name in KINDS))
        for name in KINDS:
            assert f"fsvc-{name}@" in machine.run("systemctl", "list-units", "fsvc-*.service").stdout
            machine.run("sh", "-c", f"cd /mnt/{name} && set -- {INSIDE}/begin\n{WORK}")
        power_off(machine)
    for name in KINDS:
        assert_complete(outliving, name, mountpoint)


def test_powered_off_under_who_still_writes(outliving, mountpoint):
    """Sessions are over before what they write to is unmounted, and that before its service is told to end."""
    image = make_image(outliving, "ext4")
    (outliving / "work").write_text(WORK)
    (outliving / "session").write_text(
        f"cd /mnt/ext4\ntrap 'sleep 1; sh {INSIDE}/work {INSIDE}/begin; exit' TERM\n"
        "touch /run/ready\nwhile :; do sleep 0.1; done\n")
    with Survived(outliving) as machine:
        machine.run("mkdir", "/mnt/ext4")
        mount(machine, "ext4", f"{INSIDE}/{image.name}", "/mnt/ext4")
        # ordered as each session is, by systemd-user-sessions.service
        machine.run("systemd-run", "-p", "After=remote-fs.target", "-p", "KillMode=mixed", "sh", f"{INSIDE}/session")
        wait_for(machine.path("/run/ready").exists, what="the session")
        power_off(machine)
    assert_complete(outliving, "ext4", mountpoint)
