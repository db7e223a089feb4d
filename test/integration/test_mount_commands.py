# SPDX-License-Identifier: LGPL-2.1-or-later
"""mount(8), umount(8), fstab and systemd mount units in a machine, with the helpers of fsvc instead of those of libfuse."""

import json
import os
import re
import shutil
import subprocess

import pytest

from kit import mounts, utab
from kit.installed_machine import installed_machine
from kit.throwaway_machine import REPO, Machine
from kit.build_options import BUILD, SERVERS
from kit.waiting import wait_for
from test_machine import add_service

HELPERS = ("mount.fuse", "mount.fuse3", "mount.fuseblk", "umount.fuse", "umount.fuse3", "umount.fuseblk")
FSTAB = "/etc/fstab"
MNT = "/images/mnt"


@pytest.fixture(scope="module")
def machine():
    with installed_machine() as machine:
        # the effect of the options mount_helper and setuid
        machine.run("sh", "-c", "for name; do ln -sf /usr/bin/fsvc /usr/sbin/$name; done", "sh", *HELPERS)
        machine.run("chmod", "4755", "/usr/bin/fsvc")
        machine.run("chmod", "666", "/dev/fuse")
        machine.run("systemctl", "enable", "--now", "fsvc-squashfs.socket", "fsvc-ext4.socket")
        machine.run("sh", "-c", "useradd alice && useradd bob && mkdir -p /images/mnt /images/tree/inner && cd /images &&"
                    "seq 1000 >tree/numbers && chown alice tree/inner &&"
                    "mksquashfs tree tree.img -quiet -no-progress && chmod 644 tree.img &&"
                    "mkfs.ext4 -q -d tree disk.img 4M && chmod 666 disk.img &&"
                    "chown alice mnt && chmod 755 . && chmod 666 /run/filesystems/*")
        shutil.copy(SERVERS / "one_file", machine.path("/usr/local/bin"))
        add_service(machine, "one_file", "/usr/bin/fsvc-open -- /usr/local/bin/one_file {source} {mountpoint} -f")
        machine.run("chmod", "666", "/run/filesystems/one_file")
        yield machine


@pytest.fixture(autouse=True)
def nothing_is_left(machine):
    yield
    machine.path(FSTAB).write_text("")
    machine.run("systemctl", "daemon-reload")
    wait_for(lambda: not services(machine), 30, "the end of all services")
    assert [mount for mount in mounts.mountinfo(machine.leader) if mount.type.startswith("fuse.")] == []
    table = machine.path("/run/mount/utab")
    assert not table.exists() or table.read_text() == ""


def services(machine):
    return machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "fsvc-*.service").stdout


def run_as(machine, user, *command, check=True):
    return machine.run("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command, check=check)


def fstab(machine, *lines):
    machine.path(FSTAB).write_text("".join(f"{line}\n" for line in lines))
    machine.run("systemctl", "daemon-reload")


def is_mounted(machine, path=MNT):
    return mounts.at(path, machine.leader) != []


# mount(8) and umount(8)


def test_root_can_mount_by_type_and_unmount(machine):
    machine.run("mount", "-t", "fuse.squashfs", "/images/tree.img", MNT)
    shown = machine.run("findmnt", "-no", "SOURCE,FSTYPE", MNT).stdout.split()
    assert shown == ["/images/tree.img", "fuse.squashfs"]
    assert f"/images/tree.img on {MNT} type fuse.squashfs (ro,nosuid,nodev" in machine.run("mount").stdout
    machine.run("umount", MNT)
    assert "squashfuse" not in machine.run("ps", "-eo", "comm").stdout  # umount waits for the server


@pytest.mark.parametrize("how", ["-l", "-f"])
def test_lazy_and_forced_unmount(machine, how):
    machine.run("mount", "-t", "fuse.squashfs", "/images/tree.img", MNT)
    machine.run("umount", how, MNT)
    assert not is_mounted(machine)


def test_relative_paths(machine):
    machine.run("sh", "-c", "cd /images && mount -t fuse.squashfs tree.img mnt && cmp mnt/numbers tree/numbers &&"
                " umount mnt")


@pytest.mark.parametrize("user, command", [("root", ("mount", "-t", "fuse.squashfs")),
                                           ("alice", ("fuservicemount3", "-t", "squashfs"))], ids=["root", "alice"])
@pytest.mark.parametrize("name", ["a b", "com,ma", "back\\slash", "ha#sh", "\u00e4\u00f6", "\\040"])
def test_special_characters_in_paths_are_kept(machine, name, user, command):
    source, target = f"/images/{name}.img", f"/images/on {name}"
    machine.run("cp", "/images/tree.img", source)
    machine.run("install", "-d", "-o", user, target)
    run_as(machine, user, *command, source, target)
    mount, = mounts.at(target, machine.leader)
    assert mount.source == source
    shown, = json.loads(machine.run("findmnt", "--mtab", "-Jo", "SOURCE,TARGET,FSTYPE", "--mountpoint", target).stdout)["filesystems"]
    assert shown == {"source": source, "target": target, "fstype": "fuse.squashfs"}
    entry, = utab.entries_of(target, machine.path("/"))
    assert mounts.unescape(entry["SRC"]) == source
    run_as(machine, user, "umount", target)
    assert not is_mounted(machine, target)
    machine.run("rmdir", target)


@pytest.mark.parametrize("user", ["root", "alice"])
def test_file_can_be_mountpoint(machine, user):
    target = "/images/file"
    machine.run("install", "-o", user, "/dev/null", target)
    run_as(machine, user, "fuservicemount3", "/images/tree.img", target, "-t", "one_file")
    run_as(machine, user, "cmp", target, "/images/tree.img")
    run_as(machine, user, "umount", target)
    assert not is_mounted(machine, target)


@pytest.mark.parametrize("user", ["root", "alice"])
def test_mountpoint_can_be_inside_other_mount(machine, user):
    outer, inner = MNT, f"{MNT}/inner"
    for kind, image, target in ("ext4", "disk.img", outer), ("squashfs", "tree.img", inner):
        run_as(machine, user, "fuservicemount3", f"/images/{image}", target, "-t", kind)
    assert run_as(machine, user, "cat", f"{inner}/numbers").stdout.startswith("1\n")
    failed = run_as(machine, user, "fsvc-umount", outer, check=False)
    assert f"in use by the mount on {inner}" in failed.stderr
    for target in inner, outer:
        run_as(machine, user, "umount", target)
        assert not is_mounted(machine, target)


def test_block_device_mount_is_shown_by_usual_tools(machine):
    machine.run("systemctl", "start", "fsvc-ntfs.socket")
    machine.run("sh", "-c", "cd /images && truncate -s 4M ntfs.img && mkntfs -q -Q -F ntfs.img")
    device = machine.loop("/images/ntfs.img")
    machine.run("mount", "-t", "fuseblk.ntfs", device, MNT)
    shown = machine.run("findmnt", "-rno", "SOURCE,FSTYPE,OPTIONS", "--mountpoint", MNT).stdout.split()
    assert shown[:2] == [device, "fuseblk.ntfs"] and {"rw", "nosuid", "nodev"} < set(shown[2].split(","))
    assert machine.run("lsblk", "-rno", "MOUNTPOINT", device).stdout == f"{MNT}\n"
    assert re.search(rf"^{device} on {MNT} type fuseblk.ntfs \(rw,", machine.run("mount").stdout, re.MULTILINE)
    machine.run("umount", MNT)
    assert not is_mounted(machine)


def test_root_can_mount_in_other_mount_namespace(machine):
    # with Type=exec, the unit has started when it has its own mounts
    machine.run("systemd-run", "--unit=elsewhere", "-p", "Type=exec", "-p", "PrivateMounts=yes", "sleep", "infinity")
    pid = machine.run("systemctl", "show", "-P", "MainPID", "elsewhere").stdout.strip()
    machine.run("mount", "-N", pid, "-t", "fuse.squashfs", "/images/tree.img", MNT)
    assert not is_mounted(machine)
    assert machine.run("nsenter", "-t", pid, "-m", "cat", f"{MNT}/numbers").stdout.startswith("1\n")
    machine.run("umount", "-N", pid, MNT)
    machine.run("systemctl", "stop", "elsewhere")


def test_mount_of_crashed_server_can_be_unmounted(machine):
    machine.run("mount", "-t", "fuse.squashfs", "/images/tree.img", MNT)
    machine.run("pkill", "-KILL", "squashfuse")
    wait_for(lambda: machine.run("ls", MNT, check=False).returncode, what="the end of the mount")
    machine.run("umount", MNT)


# users


def test_only_owner_can_read_and_unmount_user_mount(machine):
    run_as(machine, "alice", "fuservicemount3", "/images/tree.img", MNT, "-t", "squashfs")
    assert run_as(machine, "alice", "cat", f"{MNT}/numbers").stdout.startswith("1\n")
    assert run_as(machine, "bob", "cat", f"{MNT}/numbers", check=False).returncode
    for command in ("umount", MNT), ("fsvc-umount", MNT), ("umount", "-l", MNT):
        assert run_as(machine, "bob", *command, check=False).returncode
        assert is_mounted(machine)
    run_as(machine, "alice", "umount", MNT)
    assert not is_mounted(machine)


def test_fstab_option_user_allows_user_to_mount(machine):
    fstab(machine, f"/images/tree.img {MNT} fuse.squashfs user,noauto,ro 0 0")
    run_as(machine, "alice", "mount", MNT)
    mount, = mounts.at(MNT, machine.leader)
    uid = machine.run("id", "-u", "alice").stdout.strip()
    assert f"user_id={uid}" in mount.options and "nosuid" in mount.flags
    assert run_as(machine, "bob", "umount", MNT, check=False).returncode
    run_as(machine, "alice", "umount", MNT)
    assert not is_mounted(machine)


@pytest.mark.timeout(1200)
def test_attacks_fail_with_installed_executable(machine):
    """Run test_attack_*.py in the machine, with the installed executable."""
    done = machine.run("/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider",
                       *(REPO / "test/integration").glob("test_attack_*.py"), check=False, timeout=1200,
                       env={"FSVC_BUILD": str(BUILD), "FSVC_INSTALLED": "/usr/bin/fsvc"})
    print(done.stdout)
    assert done.returncode == 0


# fstab and units


@pytest.mark.parametrize("options", ["noauto", "noauto,nofail", "noauto,_netdev", "noauto,x-demo=1,comment=words"])
def test_fstab_entry_can_be_mounted_by_mountpoint(machine, options):
    fstab(machine, f"/images/tree.img {MNT} fuse.squashfs {options} 0 0")
    machine.run("mount", MNT)
    machine.run("cmp", f"{MNT}/numbers", "/images/tree/numbers")
    machine.run("umount", MNT)


def test_fstab_mount_unit_starts_and_stops(machine):
    fstab(machine, f"/images/tree.img {MNT} fuse.squashfs noauto,x-systemd.requires=fsvc-squashfs.socket 0 0")
    machine.run("systemctl", "start", "images-mnt.mount")
    machine.run("cmp", f"{MNT}/numbers", "/images/tree/numbers")
    machine.run("systemctl", "stop", "images-mnt.mount")
    assert not is_mounted(machine)


def test_mount_unit_of_documentation_starts_and_stops(machine):
    page = (REPO / "doc/fstab.md").read_text()
    unit = page[page.index("[Unit]"):].partition("```")[0]
    machine.path("/etc/systemd/system/images-mnt.mount").write_text(
        unit.replace("/srv/", "/images/").replace("/mnt/tree", MNT))
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "stop", "fsvc-squashfs.socket")
    try:
        machine.run("systemctl", "start", "images-mnt.mount")
        machine.run("cmp", f"{MNT}/numbers", "/images/tree/numbers")
        machine.run("systemctl", "stop", "images-mnt.mount")
    finally:
        machine.path("/etc/systemd/system/images-mnt.mount").unlink()
        machine.run("systemctl", "start", "fsvc-squashfs.socket")
        machine.run("chmod", "666", "/run/filesystems/squashfs")


def test_automount_mounts_on_access_and_expires(machine):
    fstab(machine, f"/images/tree.img {MNT} fuse.squashfs noauto,x-systemd.automount,x-systemd.idle-timeout=1s 0 0")
    machine.run("systemctl", "start", "images-mnt.automount")
    try:
        machine.run("cmp", f"{MNT}/numbers", "/images/tree/numbers")
        wait_for(lambda: len(mounts.at(MNT, machine.leader)) == 1, 20, "the expiry of the automount")
        assert mounts.at(MNT, machine.leader)[0].type == "autofs"
    finally:
        machine.run("systemctl", "stop", "images-mnt.automount")


# boot

BOOT_OPTIONS = "fsvc=require,_netdev,x-systemd.requires=fsvc-squashfs.socket"


@pytest.fixture
def boot(machine):
    """Start the mounts of fstab, as at the end of the boot."""

    def boot(*lines):
        fstab(machine, *lines)
        machine.run("systemctl", "stop", "remote-fs.target", "fsvc-squashfs.socket")
        return machine.run("systemctl", "start", "remote-fs.target", check=False)

    yield boot
    if is_mounted(machine):
        machine.run("systemctl", "stop", "images-mnt.mount")
    machine.run("systemctl", "reset-failed")
    machine.run("systemctl", "start", "fsvc-squashfs.socket")
    machine.run("chmod", "666", "/run/filesystems/squashfs")


def test_boot_mount_starts_its_socket(machine, boot):
    assert boot(f"/images/tree.img {MNT} fuse.squashfs {BOOT_OPTIONS} 0 0").returncode == 0
    assert machine.run("systemctl", "is-active", "fsvc-squashfs.socket").stdout == "active\n"
    assert "user_id=0" in mounts.at(MNT, machine.leader)[0].options
    assert "fsvc-squashfs@" in services(machine)  # not a server that runs as root


PREPARE_BOOT = f"""cd /usr/sbin; for name in {' '.join(HELPERS)}; do ln -sf /usr/bin/fsvc $name; done
systemctl enable --quiet fsvc-squashfs.socket
mkdir -p /images/mnt /images/automount; cp {{image}} /images/tree.img
echo '/images/tree.img {MNT} fuse.squashfs {BOOT_OPTIONS} 0 0' >/etc/fstab
echo '/images/none.img /images/nomnt fuse.squashfs nofail,{BOOT_OPTIONS} 0 0' >>/etc/fstab
echo '/images/tree.img /images/automount fuse.squashfs x-systemd.automount,{BOOT_OPTIONS} 0 0' >>/etc/fstab
"""


def test_machine_with_fstab_entries_boots_and_shuts_down_in_order(work):
    (work / "file").write_text("content\n")
    subprocess.run(["mksquashfs", work / "file", work / "tree.img", "-quiet", "-no-progress"], check=True)
    prepare = f"meson install --no-rebuild --quiet -C {BUILD}\n" + PREPARE_BOOT.format(image=work / "tree.img")
    with Machine(layers=(REPO, BUILD, work), prepare=prepare) as booted:
        wait_for(lambda: is_mounted(booted), 20, "the mount")
        assert booted.path(f"{MNT}/file").read_text() == "content\n"
        assert mounts.at("/images/nomnt", booted.leader) == []
        if os.path.exists("/dev/autofs"):
            assert booted.run("cat", "/images/automount/file").stdout == "content\n"
        assert "fsvc-squashfs@" in services(booted)
        booted.run("systemctl", "poweroff")
        booted.nspawn.wait(60)
        log = booted.log()
    ends = [log.index(message) for message in ("Unmounted images-mnt.mount", "Closed fsvc-squashfs.socket")]
    assert ends == sorted(ends)
    assert "ordering cycle" not in log and "timed out" not in log


def test_boot_mount_has_no_ordering_cycle(machine, boot):
    boot(f"/images/tree.img {MNT} fuse.squashfs {BOOT_OPTIONS} 0 0")
    found = machine.run("systemd-analyze", "verify", "images-mnt.mount", "remote-fs.target", check=False)
    assert "cycle" not in found.stdout + found.stderr
    after = machine.run("systemctl", "show", "--property=After", "--value", "images-mnt.mount").stdout.split()
    assert "fsvc-squashfs.socket" in after


def test_missing_image_with_nofail_does_not_stop_boot(machine, boot):
    assert boot(f"/images/missing.img {MNT} fuse.squashfs nofail,{BOOT_OPTIONS} 0 0").returncode == 0
    assert machine.run("systemctl", "is-active", "remote-fs.target").stdout == "active\n"
    # With nofail, nothing waits until the mount has failed.
    wait_for(lambda: machine.run("systemctl", "is-failed", "images-mnt.mount", check=False).stdout == "failed\n")


def test_noauto_entry_is_not_mounted_at_boot(machine, boot):
    assert boot(f"/images/tree.img {MNT} fuse.squashfs noauto,{BOOT_OPTIONS} 0 0").returncode == 0
    assert not is_mounted(machine)
