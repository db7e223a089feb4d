# SPDX-License-Identifier: LGPL-2.1-or-later
"""mount(8), umount(8), fstab and systemd's own units, with fsvc in the place of libfuse's helpers, in a machine."""

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
        # what the options mount_helper and setuid do
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
def nothing_stays_in_the_machine(machine):
    yield
    machine.path(FSTAB).write_text("")
    machine.run("systemctl", "daemon-reload")
    wait_for(lambda: not services(machine), 30, "the end of all services")
    assert [mount for mount in mounts.mountinfo(machine.leader) if mount.type.startswith("fuse.")] == []
    table = machine.path("/run/mount/utab")
    assert not table.exists() or table.read_text() == ""


def services(machine):
    return machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "fsvc-*.service").stdout


def run_as(machine, user, *words, check=True):
    return machine.run("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *words, check=check)


def fstab(machine, *lines):
    machine.path(FSTAB).write_text("".join(f"{line}\n" for line in lines))
    machine.run("systemctl", "daemon-reload")


def is_mounted(machine, place=MNT):
    return mounts.at(place, machine.leader) != []


# by name


def test_root_mounts_by_type_and_unmounts(machine):
    machine.run("mount", "-t", "fuse.squashfs", "/images/tree.img", MNT)
    shown = machine.run("findmnt", "-no", "SOURCE,FSTYPE", MNT).stdout.split()
    assert shown == ["/images/tree.img", "fuse.squashfs"]
    assert f"/images/tree.img on {MNT} type fuse.squashfs (ro,nosuid,nodev" in machine.run("mount").stdout
    machine.run("umount", MNT)
    assert "squashfuse" not in machine.run("ps", "-eo", "comm").stdout  # umount has waited


@pytest.mark.parametrize("how", ["-l", "-f"])
def test_umount_knows_other_ways(machine, how):
    machine.run("mount", "-t", "fuse.squashfs", "/images/tree.img", MNT)
    machine.run("umount", how, MNT)
    assert not is_mounted(machine)


def test_a_relative_path_is_one(machine):
    machine.run("sh", "-c", "cd /images && mount -t fuse.squashfs tree.img mnt && cmp mnt/numbers tree/numbers &&"
                " umount mnt")


@pytest.mark.parametrize("user, command", [("root", ("mount", "-t", "fuse.squashfs")),
                                           ("alice", ("fuservicemount3", "-t", "squashfs"))], ids=["root", "alice"])
@pytest.mark.parametrize("name", ["a b", "com,ma", "back\\slash", "ha#sh", "\u00e4\u00f6", "\\040"])
def test_names_go_through_mount_and_back(machine, name, user, command):
    source, place = f"/images/{name}.img", f"/images/on {name}"
    machine.run("cp", "/images/tree.img", source)
    machine.run("install", "-d", "-o", user, place)
    run_as(machine, user, *command, source, place)
    mount, = mounts.at(place, machine.leader)
    assert mount.source == source
    shown, = json.loads(machine.run("findmnt", "--mtab", "-Jo", "SOURCE,TARGET,FSTYPE", "--mountpoint", place).stdout)["filesystems"]
    assert shown == {"source": source, "target": place, "fstype": "fuse.squashfs"}
    entry, = utab.entries_of(place, machine.path("/"))
    assert mounts.unescape(entry["SRC"]) == source
    run_as(machine, user, "umount", place)
    assert not is_mounted(machine, place)
    machine.run("rmdir", place)


@pytest.mark.parametrize("user", ["root", "alice"])
def test_a_file_is_a_mountpoint_too(machine, user):
    place = "/images/file"
    machine.run("install", "-o", user, "/dev/null", place)
    run_as(machine, user, "fuservicemount3", "/images/tree.img", place, "-t", "one_file")
    run_as(machine, user, "cmp", place, "/images/tree.img")
    run_as(machine, user, "umount", place)
    assert not is_mounted(machine, place)


@pytest.mark.parametrize("user", ["root", "alice"])
def test_a_mountpoint_may_be_inside_another_mount(machine, user):
    outer, inner = MNT, f"{MNT}/inner"
    for kind, image, place in ("ext4", "disk.img", outer), ("squashfs", "tree.img", inner):
        run_as(machine, user, "fuservicemount3", f"/images/{image}", place, "-t", kind)
    assert run_as(machine, user, "cat", f"{inner}/numbers").stdout.startswith("1\n")
    failed = run_as(machine, user, "fsvc-umount", outer, check=False)
    assert f"in use by the mount on {inner}" in failed.stderr
    for place in inner, outer:
        run_as(machine, user, "umount", place)
        assert not is_mounted(machine, place)


def test_a_block_device_is_shown_as_any_other(machine):
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


def test_root_mounts_in_another_namespace(machine):
    # started is not yet executed: its mounts are its own from then on
    machine.run("systemd-run", "--unit=elsewhere", "-p", "Type=exec", "-p", "PrivateMounts=yes", "sleep", "infinity")
    pid = machine.run("systemctl", "show", "-P", "MainPID", "elsewhere").stdout.strip()
    machine.run("mount", "-N", pid, "-t", "fuse.squashfs", "/images/tree.img", MNT)
    assert not is_mounted(machine)
    assert machine.run("nsenter", "-t", pid, "-m", "cat", f"{MNT}/numbers").stdout.startswith("1\n")
    machine.run("umount", "-N", pid, MNT)
    machine.run("systemctl", "stop", "elsewhere")


def test_a_crashed_servers_mount_is_cleared_away(machine):
    machine.run("mount", "-t", "fuse.squashfs", "/images/tree.img", MNT)
    machine.run("pkill", "-KILL", "squashfuse")
    wait_for(lambda: machine.run("ls", MNT, check=False).returncode, what="the end of the mount")
    machine.run("umount", MNT)


# users


def test_a_user_mounts_and_unmounts_and_nobody_else(machine):
    run_as(machine, "alice", "fuservicemount3", "/images/tree.img", MNT, "-t", "squashfs")
    assert run_as(machine, "alice", "cat", f"{MNT}/numbers").stdout.startswith("1\n")
    assert run_as(machine, "bob", "cat", f"{MNT}/numbers", check=False).returncode
    for words in ("umount", MNT), ("fsvc-umount", MNT), ("umount", "-l", MNT):
        assert run_as(machine, "bob", *words, check=False).returncode
        assert is_mounted(machine)
    run_as(machine, "alice", "umount", MNT)
    assert not is_mounted(machine)


def test_user_in_fstab_lets_a_user_mount(machine):
    fstab(machine, f"/images/tree.img {MNT} fuse.squashfs user,noauto,ro 0 0")
    run_as(machine, "alice", "mount", MNT)
    mount, = mounts.at(MNT, machine.leader)
    uid = machine.run("id", "-u", "alice").stdout.strip()
    assert f"user_id={uid}" in mount.options and "nosuid" in mount.flags
    assert run_as(machine, "bob", "umount", MNT, check=False).returncode
    run_as(machine, "alice", "umount", MNT)
    assert not is_mounted(machine)


@pytest.mark.timeout(1200)
def test_no_attack_by_a_caller_or_a_neighbour_succeeds_in_the_machine(machine):
    """With the executable that is installed there; it tries all that test_attack_*.py try."""
    done = machine.run("/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider",
                       *(REPO / "test/integration").glob("test_attack_*.py"), check=False, timeout=1200,
                       env={"FSVC_BUILD": str(BUILD), "FSVC_INSTALLED": "/usr/bin/fsvc"})
    print(done.stdout)
    assert done.returncode == 0


# fstab and units


@pytest.mark.parametrize("options", ["noauto", "noauto,nofail", "noauto,_netdev", "noauto,x-demo=1,comment=words"])
def test_a_line_in_fstab_is_mounted_by_its_place(machine, options):
    fstab(machine, f"/images/tree.img {MNT} fuse.squashfs {options} 0 0")
    machine.run("mount", MNT)
    machine.run("cmp", f"{MNT}/numbers", "/images/tree/numbers")
    machine.run("umount", MNT)


def test_a_mount_unit_starts_and_stops(machine):
    fstab(machine, f"/images/tree.img {MNT} fuse.squashfs noauto,x-systemd.requires=fsvc-squashfs.socket 0 0")
    machine.run("systemctl", "start", "images-mnt.mount")
    machine.run("cmp", f"{MNT}/numbers", "/images/tree/numbers")
    machine.run("systemctl", "stop", "images-mnt.mount")
    assert not is_mounted(machine)


def test_a_unit_of_ones_own_starts_and_stops(machine):
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


def test_an_automount_mounts_when_it_is_looked_at_and_idles_out(machine):
    fstab(machine, f"/images/tree.img {MNT} fuse.squashfs noauto,x-systemd.automount,x-systemd.idle-timeout=1s 0 0")
    machine.run("systemctl", "start", "images-mnt.automount")
    try:
        machine.run("cmp", f"{MNT}/numbers", "/images/tree/numbers")
        wait_for(lambda: len(mounts.at(MNT, machine.leader)) == 1, 20, "idling out")
        assert mounts.at(MNT, machine.leader)[0].type == "autofs"
    finally:
        machine.run("systemctl", "stop", "images-mnt.automount")


# at boot

AT_BOOT = "fsvc=require,_netdev,x-systemd.requires=fsvc-squashfs.socket"


@pytest.fixture
def boot(machine):
    """Takes what fstab asks for to its end, as the last part of booting does."""

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


def test_a_mount_at_boot_brings_its_socket_with_it(machine, boot):
    assert boot(f"/images/tree.img {MNT} fuse.squashfs {AT_BOOT} 0 0").returncode == 0
    assert machine.run("systemctl", "is-active", "fsvc-squashfs.socket").stdout == "active\n"
    assert "user_id=0" in mounts.at(MNT, machine.leader)[0].options
    assert "fsvc-squashfs@" in services(machine)  # and not a server that runs as root


LINES = f"""cd /usr/sbin; for name in {' '.join(HELPERS)}; do ln -sf /usr/bin/fsvc $name; done
systemctl enable --quiet fsvc-squashfs.socket
mkdir -p /images/mnt /images/automount; cp {{image}} /images/tree.img
echo '/images/tree.img {MNT} fuse.squashfs {AT_BOOT} 0 0' >/etc/fstab
echo '/images/none.img /images/nomnt fuse.squashfs nofail,{AT_BOOT} 0 0' >>/etc/fstab
echo '/images/tree.img /images/automount fuse.squashfs x-systemd.automount,{AT_BOOT} 0 0' >>/etc/fstab
"""


def test_a_machine_boots_with_such_lines_and_shuts_down_in_order(work):
    (work / "file").write_text("content\n")
    subprocess.run(["mksquashfs", work / "file", work / "tree.img", "-quiet", "-no-progress"], check=True)
    prepare = f"meson install --no-rebuild --quiet -C {BUILD}\n" + LINES.format(image=work / "tree.img")
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
    ends = [log.index(words) for words in ("Unmounted images-mnt.mount", "Closed fsvc-squashfs.socket")]
    assert ends == sorted(ends)
    assert "ordering cycle" not in log and "timed out" not in log


def test_a_mount_at_boot_is_in_no_circle(machine, boot):
    boot(f"/images/tree.img {MNT} fuse.squashfs {AT_BOOT} 0 0")
    found = machine.run("systemd-analyze", "verify", "images-mnt.mount", "remote-fs.target", check=False)
    assert "cycle" not in found.stdout + found.stderr
    after = machine.run("systemctl", "show", "--property=After", "--value", "images-mnt.mount").stdout.split()
    assert "fsvc-squashfs.socket" in after


def test_an_image_that_is_missing_does_not_stop_the_boot_where_it_may_fail(machine, boot):
    assert boot(f"/images/missing.img {MNT} fuse.squashfs nofail,{AT_BOOT} 0 0").returncode == 0
    assert machine.run("systemctl", "is-active", "remote-fs.target").stdout == "active\n"
    # nobody waits for such a mount: it may still be on its way
    wait_for(lambda: machine.run("systemctl", "is-failed", "images-mnt.mount", check=False).stdout == "failed\n")


def test_a_mount_for_later_is_not_made_at_boot(machine, boot):
    assert boot(f"/images/tree.img {MNT} fuse.squashfs noauto,{AT_BOOT} 0 0").returncode == 0
    assert not is_mounted(machine)
