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
    # other servers for the same types, as own services
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
