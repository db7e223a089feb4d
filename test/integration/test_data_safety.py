# SPDX-License-Identifier: LGPL-2.1-or-later
"""All written data is on the disk after an unmount, the end of a service, and a shutdown."""

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

INSIDE = "/media"  # the path in the machine of a directory of the host
SLOW_SECONDS = 5  # slow_flush needs this time to write data back
SHUTDOWNS = 3

# Commands that write to a filesystem, and to a directory for comparison. $1 contains the initial files. Mapped pages are
# written back by the kernel after other data.
WRITE_SCRIPT = r"""
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
    """A filesystem type: the commands that make and check an image, and mount it without fsvc."""

    make: tuple
    check: tuple
    show: tuple


KINDS = {
    "ext4": Kind(("mkfs.ext4", "-q", "-F"), ("e2fsck", "-fn"), ("mount", "-t", "ext4", "-o", "ro")),
    "exfat": Kind(("mkfs.exfat",), ("fsck.exfat", "-n"), ("mount.exfat-fuse", "-o", "ro")),
    "ntfs": Kind(("mkntfs", "-Q", "-F", "-q"), ("ntfsresize", "--info"), ("ntfs-3g", "-o", "ro")),
}


class MachineWithDirectory(Machine):
    """A machine with access to a directory of the host, which remains when the machine is off."""

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
        self.run("systemctl", "start", "remote-fs.target", *sockets)  # as after a normal boot


@pytest.fixture(scope="module")
def host_directory():
    """A directory outside /tmp, which is private in nspawn."""
    directory = Path(tempfile.mkdtemp(prefix="fsvc-", dir="/var/tmp"))
    initial = directory / "initial"
    (initial / "small").mkdir(parents=True)
    (initial / "noise").write_bytes(os.urandom(8 << 20))
    (initial / "mapped").write_bytes(bytes(1 << 20))
    for number in range(200):
        (initial / "small" / str(number)).write_bytes(os.urandom(100 * number))
    expected = directory / "expected"
    expected.mkdir()
    subprocess.run(["sh", "-c", WRITE_SCRIPT, "sh", initial], cwd=expected, check=True)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def machine(host_directory):
    needs_a_machine()
    with MachineWithDirectory(host_directory) as machine:
        yield machine


@pytest.fixture(params=["file", "loop"])
def on(request):
    return request.param


def make_image(host_directory, name):
    """Make an empty image that belongs to root, as most disks do."""
    image = host_directory / f"{name}.img"
    image.unlink(missing_ok=True)
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    image.chmod(0o600)
    subprocess.run([*KINDS[name].make, image], check=True, capture_output=True)
    return image


def mount_and_write(machine, name, source):
    """Mount the source in the machine and write to it. Return the mountpoint."""
    target = f"/mnt/{name}"
    machine.run("mkdir", "-p", target)
    mount(machine, name, source, target)
    machine.run("sh", "-c", f"cd {target} && set -- {INSIDE}/initial\n{WRITE_SCRIPT}")
    return target


def assert_complete(host_directory, name, mountpoint):
    """Check the filesystem, and compare all files."""
    image, kind = host_directory / f"{name}.img", KINDS[name]
    checked = subprocess.run([*kind.check, image], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with loop_devices.loop_device(image) as device:
        subprocess.run([*kind.show, device, mountpoint], check=True, timeout=30)
        try:
            shown = subprocess.run(["diff", "-r", "-x", "lost+found", host_directory / "expected", mountpoint],
                                   capture_output=True, text=True)
            assert shown.returncode == 0, shown.stdout + shown.stderr
        finally:
            mounts.unmount(mountpoint)


def wait_for_services_to_end(machine):
    wait_for(lambda: not instances(machine), 30, "the end of all services")


def failures_in_log(machine):
    """Return the messages of systemd about services that were killed."""
    machine.run("journalctl", "--sync")
    log = machine.run("journalctl", "-u", "fsvc-*@*", "-o", "cat").stdout
    return [line for line in log.splitlines() if "Killing" in line or "timed out" in line or "SIGKILL" in line]


def make_source_of_slow_server(host_directory):
    """Make a source for slow_flush, and data to write to it."""
    (host_directory / "slow.img").write_bytes(bytes(8 << 20))
    new = host_directory / "new"
    new.write_bytes(os.urandom(8 << 20))
    return f"{INSIDE}/slow.img"


def mount_and_write_to_slow_server(machine, source):
    machine.run("mkdir", "-p", "/mnt/slow")
    mount(machine, "slow", source, "/mnt/slow")
    machine.run("dd", f"if={INSIDE}/new", "of=/mnt/slow/data", "bs=64k", "conv=notrunc", "status=none")


def assert_slow_server_has_written(host_directory):
    assert (host_directory / "slow.img").read_bytes() == (host_directory / "new").read_bytes()


def source_on(machine, on, image):
    inside = f"{INSIDE}/{image.name}"
    return machine.loop(inside) if on == "loop" else inside


# an unmount or the end of the service


@pytest.mark.parametrize("name", KINDS)
def test_unmounted_filesystem_is_complete(machine, host_directory, mountpoint, name, on):
    target = mount_and_write(machine, name, source_on(machine, on, make_image(host_directory, name)))
    machine.run("umount", target)
    wait_for_services_to_end(machine)
    assert_complete(host_directory, name, mountpoint)
    assert not failures_in_log(machine)


@pytest.mark.parametrize("name", KINDS)
def test_filesystem_of_stopped_service_is_complete(machine, host_directory, mountpoint, name, on):
    """An administrator stops the service while the filesystem is mounted."""
    target = mount_and_write(machine, name, source_on(machine, on, make_image(host_directory, name)))
    service, = instances(machine)
    machine.run("systemctl", "stop", service)
    machine.run("umount", target, check=False)
    assert_complete(host_directory, name, mountpoint)
    assert not failures_in_log(machine)


# a slow server


def test_slow_server_is_complete_after_unmount(machine, host_directory):
    mount_and_write_to_slow_server(machine, make_source_of_slow_server(host_directory))
    machine.run("umount", "/mnt/slow")
    wait_for_services_to_end(machine)
    assert_slow_server_has_written(host_directory)


def test_slow_server_is_complete_after_stop(machine, host_directory):
    mount_and_write_to_slow_server(machine, make_source_of_slow_server(host_directory))
    machine.run("systemctl", "stop", *instances(machine))
    machine.run("umount", "/mnt/slow", check=False)
    assert_slow_server_has_written(host_directory)


def test_slow_server_is_complete_when_stopped_while_writing_back(machine, host_directory):
    """After its loop, libfuse no longer handles SIGTERM, which would kill the server."""
    mount_and_write_to_slow_server(machine, make_source_of_slow_server(host_directory))
    machine.run("umount", "/mnt/slow")
    time.sleep(SLOW_SECONDS / 5)
    machine.run("systemctl", "stop", *instances(machine))
    assert_slow_server_has_written(host_directory)


# shutdown


def power_off(machine):
    machine.run("systemctl", "poweroff")
    machine.nspawn.wait(60)


@pytest.mark.parametrize("number", range(SHUTDOWNS))
def test_filesystems_are_complete_after_shutdown(host_directory, mountpoint, number):
    images = {name: make_image(host_directory, name) for name in KINDS}
    with MachineWithDirectory(host_directory) as machine:
        mount_and_write_to_slow_server(machine, make_source_of_slow_server(host_directory))
        for name in KINDS:
            mount_and_write(machine, name, f"{INSIDE}/{images[name].name}")
        power_off(machine)
    for name in KINDS:
        assert_complete(host_directory, name, mountpoint)
    assert_slow_server_has_written(host_directory)


def test_filesystems_of_fstab_are_complete_after_shutdown(host_directory, mountpoint):
    """With mount(8), umount(8) and mount units of systemd, and the helpers of fsvc."""
    images = {name: make_image(host_directory, name) for name in KINDS}
    with MachineWithDirectory(host_directory) as machine:
        machine.run("sh", "-c", "for call in mount umount; do ln -sf /usr/bin/fsvc /usr/sbin/$call.fuse; done")
        lines = [f"{INSIDE}/{image.name} /mnt/{name} fuse.{name} _netdev,x-systemd.requires=fsvc-{name}.socket 0 0\n"
                 for name, image in images.items()]
        machine.path("/etc/fstab").write_text("".join(lines))
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "start", "remote-fs.target", *(f"mnt-{name}.mount" for name in KINDS))
        for name in KINDS:
            assert f"fsvc-{name}@" in machine.run("systemctl", "list-units", "fsvc-*.service").stdout
            machine.run("sh", "-c", f"cd /mnt/{name} && set -- {INSIDE}/initial\n{WRITE_SCRIPT}")
        power_off(machine)
    for name in KINDS:
        assert_complete(host_directory, name, mountpoint)


def test_filesystem_is_complete_if_session_writes_during_shutdown(host_directory, mountpoint):
    """Sessions end before the filesystem is unmounted, and the service is stopped after that."""
    image = make_image(host_directory, "ext4")
    (host_directory / "work").write_text(WRITE_SCRIPT)
    (host_directory / "session").write_text(
        f"cd /mnt/ext4\ntrap 'sleep 1; sh {INSIDE}/work {INSIDE}/initial; exit' TERM\n"
        "touch /run/ready\nwhile :; do sleep 0.1; done\n")
    with MachineWithDirectory(host_directory) as machine:
        machine.run("mkdir", "/mnt/ext4")
        mount(machine, "ext4", f"{INSIDE}/{image.name}", "/mnt/ext4")
        # the order of user sessions, as in systemd-user-sessions.service
        machine.run("systemd-run", "-p", "After=remote-fs.target", "-p", "KillMode=mixed", "sh", f"{INSIDE}/session")
        wait_for(machine.path("/run/ready").exists, what="the session")
        power_off(machine)
    assert_complete(host_directory, "ext4", mountpoint)
