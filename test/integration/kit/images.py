# SPDX-License-Identifier: LGPL-2.1-or-later
"""Images of every kind that a server of kit.servers reads, made by free tools from one tree of files."""

# In the directory that is left to it: a tree with some of everything that a filesystem holds.
TREE = r"""
mkdir -p tree/deep/er tree/many
cd tree
echo "the same everywhere" >text
: >empty
head -c 300000 /dev/urandom >deep/noise
seq 20000 >deep/er/numbers
for i in $(seq 100); do echo "$i" >many/$i; done
echo found >"deep/a name with spaces, commas and $(printf '\303\244')"
ln -s deep/noise link
ln -s /nowhere/at/all dangling
ln text deep/hard
mkfifo pipe
setfattr --name=user.note --value=hello deep/er/numbers
chmod 640 text
chmod 750 deep
chmod 4711 empty
chown 1234:5678 deep/noise
find . -exec touch --no-dereference --date='2001-02-03 04:05:06.7' {} +
touch --date='2010-11-12 13:14:15' deep/er/numbers
"""

# FAT, exFAT and NTFS have no owners, and their makers make them empty: the filesystem's own server fills them.
FILL = "cp --recursive --no-dereference --preserve=timestamps $tree/text $tree/deep $tree/many"


def sized(megabytes, command):
    return f"truncate --size={megabytes}M $image && {command}"


def ext(version):
    return sized(16, f"mkfs.ext{version} -q -d $tree $image")


def converted(kind):
    return f"qemu-img convert -O {kind} $disk $image"


# A block device would lack what fills no sector.
PADDED = " && truncate --size=%512 $image"
# afflib opens no file that is cut, nor one with something behind its last segment: one more makes it end with a sector.
# A segment is its data, its name, and 24 bytes.
FILLED = 'affsegment -sfill="$(printf %$((1024 - ($(stat --format=%s $image) + 28) % 512))s)" $image'

# What makes $image of $tree, or of $disk, which is an ext4 filesystem with the tree in it.
RECIPES = {
    "ext2": ext(2),
    "ext3": ext(3),
    "ext4": ext(4),
    "exfat": sized(16, "mkfs.exfat $image"),
    "ntfs": sized(16, "mkntfs --quiet --fast --force $image"),
    "fat": sized(16, "mkfs.vfat $image && mcopy -s -m -i $image $tree/text $tree/deep $tree/many ::"),
    "squashfs": "mksquashfs $tree $image -quiet -no-progress",
    "erofs": "mkfs.erofs $image $tree",
    "iso9660": "genisoimage -quiet -R -J -o $image $tree",
    "apfs": sized(600, "mkapfs $image"),
    "zip": "cd $tree && zip -qry $image . --exclude pipe",
    "archive": "tar --create --gzip --file=$image --directory=$tree --exclude=hard ." + PADDED,
    "wim": "wimcapture $tree $image --unix-data" + PADDED,
    "olecf": "cd $tree && gsf createole $image text deep/noise deep/er/numbers",
    "ewf": "ewfacquirestream -q -t ${image%.E01} -c fast -C 1 -D d -e e -E 1 -m removable -M logical -N n <$disk",
    "ewf-segments": "ewfacquirestream -q -t ${image%.E01} -c none -C 1 -D d -e e -E 1 -m removable -M logical -N n -S 1048576"
                    " <$disk",
    "aff": "cp $disk ${image%.aff}.raw && affconvert -q ${image%.aff}.raw && rm ${image%.aff}.raw && " + FILLED,
    "raw": "cp $disk $image",
    "vhd": converted("vpc"),
    "vhdx": converted("vhdx"),
    "vmdk": converted("vmdk"),
    "vmdk-extents": converted("vmdk -o subformat=twoGbMaxExtentSparse"),
    "qcow": converted("qcow2"),
}

# What the last part of an image's name has to be for the tools that go by it.
ENDINGS = {"ewf": "E01", "ewf-segments": "E01", "vmdk-extents": "vmdk", "aff": "aff", "zip": "zip", "archive": "tar.gz", "wim": "wim"}

PLACE = "/images"


def make_tree(machine):
    """The tree, the disk image of it, and mountpoints, in the machine."""
    machine.run("sh", "-ec", f"mkdir -p {PLACE}/mnt {PLACE}/made && cd {PLACE}\n{TREE}")
    machine.run("sh", "-ec", "exec >&2; tree=$1/tree image=$1/disk.img; " + RECIPES["ext4"], "sh", PLACE)


def make_image(machine, kind):
    """An image that nobody but root may look at. Returns its name."""
    image = f"{PLACE}/made/{kind}.{ENDINGS.get(kind, 'img')}"
    if machine.run("test", "-e", image, check=False).returncode:
        machine.run("sh", "-ec", f"exec >&2; tree=$1/tree disk=$1/disk.img image=$2; {RECIPES[kind]}",
                    "sh", PLACE, image)
        machine.run("sh", "-ec", 'chown root:root "$@" && chmod 600 "$@"', "sh", image, *beside(machine, image))
    return image


def beside(machine, image):
    """The other files that an image consists of."""
    directory, _, name = image.rpartition("/")
    stem = name.rpartition(".")[0]
    found = [*machine.path(directory).glob(f"{stem}.E*"), *machine.path(directory).glob(f"{stem}-s*.vmdk")]
    return sorted(f"{directory}/{file.name}" for file in found if file.name != name)
