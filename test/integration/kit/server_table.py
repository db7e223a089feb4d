# SPDX-License-Identifier: LGPL-2.1-or-later
"""The servers of doc/servers.md: one row for each server that is tested."""

from typing import NamedTuple


class Server(NamedTuple):
    """A row of the table."""

    type: str
    writes: bool = False
    check: str = ""  # a program that checks the image after writing
    image: str = ""  # the type of the image, if it differs
    line: str = ""  # the options of fsvc-open, if no unit is shipped
    package: str = ""  # the package, if no unit is shipped
    device: bool = False  # without a sandbox it only supports block devices
    files: bool = False  # it does not support block devices
    varies: tuple = ()  # suffixes of files whose content differs at each start
    limits: str = ""      # for the table

    @property
    def kind(self):
        return self.image or self.type


OWN = "no unit is installed; add a service of your own"
SERVERS = [
    Server("ext2", True, "e2fsck -fn"),
    Server("ext3", True, "e2fsck -fn"),
    Server("ext4", True, "e2fsck -fn", limits="does not write to the journal; run e2fsck after a crash"),
    Server("exfat", True, "fsck.exfat -n", device=True, limits="without fsvc, it only supports block devices"),
    Server("ntfs", True, "ntfsfix -n"),
    Server("fat", limits="its documentation calls writing experimental, so it is disabled"),
    Server("squashfs"),
    Server("iso9660"),
    Server("zip", files=True, limits="writing is not possible, because it needs a second archive in the same directory"),
    Server("archive", limits="writing as for zip; hangs with some hard links, also without a sandbox"),
    Server("wim", limits="only image 1 of the archive"),
    Server("olecf"),
    Server("ewf", files=True, limits="needs the usual file extension; name further segments with fsvc.file="),
    Server("aff", limits="a block device must have the size of the AFF file, also without a sandbox"),
    Server("raw", varies=(".info",), limits="the contents of its .info file, which contains the path of the source, were not compared"),
    Server("vdi", image="raw", varies=(".vdi", ".info"),
           limits="shows a raw image as a VirtualBox disk; its contents differ at each start and were not compared"),
    Server("vhd"),
    Server("vhdx", line="--read-only --options=-X -- vhdimount", package="libvhdi-utils", limits="with the service vhd"),
    Server("vmdk", files=True, limits="name extents with fsvc.file="),
    Server("qcow"),
    Server("apfs", limits="tested with an empty volume: no tool to fill it was found"),
    # other servers for the same types, as own services
    Server("squashfs-ll", image="squashfs", line="--read-only -- squashfuse_ll -f", package="squashfuse",
           limits=OWN),
    Server("lowntfs", True, "ntfsfix -n", image="ntfs", package="ntfs-3g", limits=OWN,
           line="--as-root -- lowntfs-3g -o no_detach,uid={uid},gid={uid}"),
    Server("fuseiso9660", image="iso9660", line="--read-only -- fuseiso9660 -f", package="fuseiso9660",
           limits=OWN),
]

UNTRIED = {
    "fuse-ext2": "opens its image for writing even for a read-only mount, which is denied",
    "erofs": "Debian 12 has no erofsfuse",
    "vmfs": "no tool to create such a volume was found",
    "vmfs6": "no tool to create such a volume was found",
    "regf": "no tool to create an empty hive was found",
    "lvm": "vslvmmount 20181227 does not find the volumes of current LVM, also without a sandbox",
    "vss": "no tool to create shadow copies was found",
    "bitlocker": "no tool to create such a volume was found",
    "bde": "no tool to create such a volume was found",
    "filevault": "no tool to create such a volume was found",
}
