# SPDX-License-Identifier: LGPL-2.1-or-later
"""The servers that the table in doc/servers.md speaks of, and how one is tried: as a service, and by hand."""

import contextlib
import json
import re
import shlex
import subprocess
import time
from typing import NamedTuple

from . import programs

UNITS = "/usr/lib/systemd/system"
MOUNTPOINT = "/images/mnt"
PLACE = "/fsvc"  # by hand a server is given the names that it has as a service


class Server(NamedTuple):
    """A row of the table."""

    type: str
    writes: bool = False
    check: str = ""       # a program that finds faults in what was written
    image: str = ""       # the kind of image, where it is not the type
    line: str = ""        # what fsvc-open is told, where no unit of that type is shipped
    package: str = ""     # the same
    device: bool = False  # by hand it takes nothing but block devices
    files: bool = False   # it takes no block devices, by hand neither
    varies: tuple = ()    # endings of the files whose content is another at each start
    limits: str = ""      # for the table

    @property
    def kind(self):
        return self.image or self.type


OWN = "no unit is shipped: a service of your own"
SERVERS = [
    Server("ext2", True, "e2fsck -fn"),
    Server("ext3", True, "e2fsck -fn"),
    Server("ext4", True, "e2fsck -fn", limits="does not write to the journal: after a crash e2fsck is due"),
    Server("exfat", True, "fsck.exfat -n", device=True, limits="by hand it takes nothing but block devices"),
    Server("ntfs", True, "ntfsfix -n"),
    Server("fat", limits="writing is experimental, by the server's own words, and so not offered"),
    Server("squashfs"),
    Server("iso9660"),
    Server("zip", files=True, limits="writing means a new archive beside the old one, for which there is no place"),
    Server("archive", limits="as for zip; hangs at some hard links, by hand too"),
    Server("wim", limits="image 1 of the archive"),
    Server("olecf"),
    Server("ewf", files=True, limits="goes by the ending; further segments are named by fsvc.file="),
    Server("aff", limits="a block device has to end where the AFF file ends, by hand too"),
    Server("raw", varies=(".info",), limits="the content of its .info file, which names the source, was not compared"),
    Server("vdi", image="raw", varies=(".vdi", ".info"), limits="shows a raw image as a VirtualBox disk, whose content, another at each start, was not compared"),
    Server("vhd"),
    Server("vhdx", line="--read-only --options=-X -- vhdimount", package="libvhdi-utils", limits="by the service vhd"),
    Server("vmdk", files=True, limits="extents are named by fsvc.file="),
    Server("qcow"),
    Server("apfs", limits="tried on an empty volume: no tool to fill one was found"),
    # other servers for the same, each a service of one's own
    Server("squashfs-ll", image="squashfs", line="--read-only -- squashfuse_ll -f", package="squashfuse",
           limits=OWN),
    Server("lowntfs", True, "ntfsfix -n", image="ntfs", package="ntfs-3g", limits=OWN,
           line="--as-root -- lowntfs-3g -o no_detach,uid={uid},gid={uid}"),
    Server("fuseiso9660", image="iso9660", line="--read-only -- fuseiso9660 -f", package="fuseiso9660",
           limits=OWN),
]

UNTRIED = {
    "fuse-ext2": "opens its image for writing even when it only reads, which is refused",
    "erofs": "Debian 12 has no erofsfuse",
    "vmfs": "no tool to make such a volume was found",
    "vmfs6": "no tool to make such a volume was found",
    "regf": "no tool to make a hive from nothing was found",
    "lvm": "vslvmmount 20181227 does not find the volumes of today's LVM, by hand neither",
    "vss": "no tool to make shadow copies was found",
    "bitlocker": "no tool to make such a volume was found",
    "bde": "no tool to make such a volume was found",
    "filevault": "no tool to make such a volume was found",
}

# Prints all that can be known of what is below a directory.
LOOK = r"""
import hashlib, json, os, stat, sys

def content(path, mode):
    if stat.S_ISLNK(mode):
        return os.readlink(path)
    if stat.S_ISREG(mode):
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

def attributes(path):
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in names}
    except OSError as error:
        return error.strerror

def look(path):
    status = os.lstat(path)
    return {"mode": oct(status.st_mode), "owner": [status.st_uid, status.st_gid], "size": status.st_size,
            "mtime": status.st_mtime_ns, "links": status.st_nlink, "device": status.st_rdev,
            "content": content(path, status.st_mode), "attributes": attributes(path)}

top = sys.argv[1]
names = [os.path.join(where, name) for where, below, files in os.walk(top) for name in below + files]
print(json.dumps({os.path.relpath(name, top): look(name) for name in [top, *names]}))
"""

# Changes something in each way that the filesystem knows; writing a file it must know.
CHANGE = r"""
import contextlib, os, sys

os.chdir(sys.argv[1])
with open("deep/new", "wb") as file:
    file.write(os.urandom(1_500_000))
with open("deep/noise", "r+b") as file:
    file.seek(70_000)
    file.write(b"in the middle" * 1000)
with open("text", "a") as file:
    file.write("appended\n")
for call, *arguments in ((os.mkdir, "made"), (os.rename, "many/1", "made/one"), (os.truncate, "deep/er/numbers", 1234),
                         (os.symlink, "made/one", "made/symlink"), (os.link, "made/one", "made/hard"),
                         (os.chmod, "made", 0o710), (os.chown, "made/one", 4321, 8765), (os.mkfifo, "made/fifo"),
                         (os.setxattr, "made/one", "user.made", b"here"), (os.rmdir, "empty-directory")):
    with contextlib.suppress(OSError):
        call(*arguments)
for number in range(2, 50):
    os.unlink(f"many/{number}")
for where, below, files in os.walk("."):
    for name in files + below:
        with contextlib.suppress(OSError):
            os.utime(os.path.join(where, name), (1_300_000_000, 1_300_000_000), follow_symlinks=False)
"""


def python(machine, script, *arguments):
    return machine.run("/usr/bin/python3", "-c", script, *arguments).stdout


def look(machine):
    """What is mounted, file by file."""
    return json.loads(python(machine, LOOK, MOUNTPOINT))


def differences(one, other, since):
    """Where two looks differ; a server that says "now" for a time that it does not know may say so each time."""
    found = {}
    for name in sorted(one.keys() | other.keys()):
        left, right = one.get(name), other.get(name)
        if left and right and min(left["mtime"], right["mtime"]) >= since * 10 ** 9:
            left, right = left | {"mtime": "now"}, right | {"mtime": "now"}
        if left != right:
            found[name] = {key: (left[key], right[key]) for key in left if left[key] != right[key]} \
                if left and right else "missing in one"
    return found


def lasting(found):
    """Without what some servers know better, or no more, after the filesystem was mounted anew: of directories alone."""
    passing = {"size": 0, "mtime": 0}
    return {name: known | passing if known["mode"].startswith("0o4") else known for name, known in found.items()}


def command(machine, server):
    """What fsvc-open is told, as words: its own, and the server's."""
    unit = machine.run("systemctl", "cat", f"fsvc-{server.type}@.service").stdout
    own, _, line = re.findall(r"^ExecStart=\S+ (.*)$", unit, re.M)[-1].partition("-- ")
    return shlex.split(own), shlex.split(line)


def package(machine, server):
    own, _ = command(machine, server)
    return server.package or next(word.partition("=")[2] for word in own if word.startswith("--package="))


def hand_line(machine, server, source):
    """The command line of a server that root starts by hand."""
    own, words = command(machine, server)
    names = {"{source}": source, "{mountpoint}": MOUNTPOINT, "{uid}": "0"}
    line = words
    for name, value in names.items():
        line = [word.replace(name, value) for word in line]
    if not any("{source}" in word for word in words):
        line += [source, MOUNTPOINT]
    before_options = next((word.partition("=")[2] for word in own if word.startswith("--options=")), "-o")
    return line if before_options == "none" or "--read-only" not in own else [*line, before_options, "ro"]


def is_mounted(machine):
    return machine.run("mountpoint", "-q", MOUNTPOINT, check=False).returncode == 0


@contextlib.contextmanager
def by_hand(machine, server, source):
    """The filesystem mounted by the server alone, which root has started."""
    unit = "by-hand.service"
    machine.run("systemd-run", "--quiet", "--unit", unit, "--property=ExitType=cgroup", "--setenv=LANG=C.UTF-8",
                *hand_line(machine, server, source))
    try:
        programs.wait_for(lambda: is_mounted(machine) or not is_active(machine, unit), 20, "the mount by hand")
        assert is_mounted(machine), machine.run("journalctl", "-u", unit, "-o", "cat").stdout
        yield
        machine.run("umount", MOUNTPOINT)
        programs.wait_for(lambda: not is_active(machine, unit), 30, "the server's end")
    finally:
        machine.run("umount", "--lazy", MOUNTPOINT, check=False)
        machine.run("systemctl", "stop", unit, check=False)
        machine.run("systemctl", "reset-failed", unit, check=False)


def is_active(machine, unit):
    return machine.run("systemctl", "is-active", "-q", unit, check=False).returncode == 0


def instances(machine):
    listed = machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "fsvc-*.service").stdout
    return [line.split()[0] for line in listed.splitlines()]


@contextlib.contextmanager
def contained(machine, subtype, source, *options):
    """The filesystem mounted through the service; in the end the service has ended too."""
    done = machine.run("fuservicemount3", source, MOUNTPOINT, "-t", subtype, *options, check=False)
    assert done.returncode == 0, done.stderr + log(machine, subtype)
    try:
        yield
        machine.run("umount", MOUNTPOINT)
    finally:
        machine.run("umount", "--lazy", MOUNTPOINT, check=False)
        programs.wait_for(lambda: not instances(machine), 60, "the service's end")


def log(machine, subtype):
    """The services' own words."""
    machine.run("journalctl", "--sync")
    return machine.run("journalctl", "-u", f"fsvc-*{subtype}@*", "-o", "cat").stdout


@contextlib.contextmanager
def loop_device(machine, image):
    """A block device on an image, for root alone."""
    device = machine.loop(image)
    try:
        machine.run("chmod", "600", device)
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True, timeout=30)
        machine.loops.remove(device)


def now():
    return int(time.time())
