# SPDX-License-Identifier: LGPL-2.1-or-later
"""Images of all types in kit.server_table, made with free tools from the same files."""

# Creates files of all kinds in the working directory.
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

# FAT, exFAT and NTFS have no owners, and the images are empty: the tests copy these files with the server.
FILL = "cp --recursive --no-dereference --preserve=timestamps $tree/text $tree/deep $tree/many"


def sized(megabytes, command):
    return f"truncate --size={megabytes}M $image && {command}"


def ext(version):
    return sized(16, f"mkfs.ext{version} -q -d $tree $image")


def converted(kind):
    return f"qemu-img convert -O {kind} $disk $image"


# A block device consists of whole sectors.
PAD_TO_SECTOR = " && truncate --size=%512 $image"
# afflib refuses truncated files and files with data after the last segment: add a segment that ends at a sector boundary. A
# segment consists of its data, its name, and 24 bytes.
ADD_SEGMENT = 'affsegment -sfill="$(printf %$((1024 - ($(stat --format=%s $image) + 28) % 512))s)" $image'

# Commands that make $image from $tree, or from $disk, an ext4 image of the tree.
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
    "archive": "tar --create --gzip --file=$image --directory=$tree --exclude=hard ." + PAD_TO_SECTOR,
    "wim": "wimcapture $tree $image --unix-data" + PAD_TO_SECTOR,
    "olecf": "cd $tree && gsf createole $image text deep/noise deep/er/numbers",
    "ewf": "ewfacquirestream -q -t ${image%.E01} -c fast -C 1 -D d -e e -E 1 -m removable -M logical -N n <$disk",
    "ewf-segments": "ewfacquirestream -q -t ${image%.E01} -c none -C 1 -D d -e e -E 1 -m removable -M logical -N n -S 1048576"
                    " <$disk",
    "aff": "cp $disk ${image%.aff}.raw && affconvert -q ${image%.aff}.raw && rm ${image%.aff}.raw && " + ADD_SEGMENT,
    "raw": "cp $disk $image",
    "vhd": converted("vpc"),
    "vhdx": converted("vhdx"),
    "vmdk": converted("vmdk"),
    "vmdk-extents": converted("vmdk -o subformat=twoGbMaxExtentSparse"),
    "qcow": converted("qcow2"),
}

# Suffixes that some tools require.
SUFFIXES = {"ewf": "E01", "ewf-segments": "E01", "vmdk-extents": "vmdk", "aff": "aff", "zip": "zip", "archive": "tar.gz", "wim": "wim"}

DIRECTORY = "/images"


def make_tree(machine):
    """Create the files, a disk image of them, and mountpoints, in the machine."""
    machine.run("sh", "-ec", f"mkdir -p {DIRECTORY}/mnt {DIRECTORY}/made && cd {DIRECTORY}\n{TREE}")
    machine.run("sh", "-ec", "exec >&2; tree=$1/tree image=$1/disk.img; " + RECIPES["ext4"], "sh", DIRECTORY)


def make_image(machine, kind):
    """Make an image that only root can read. Return its path."""
    image = f"{DIRECTORY}/made/{kind}.{SUFFIXES.get(kind, 'img')}"
    if machine.run("test", "-e", image, check=False).returncode:
        machine.run("sh", "-ec", f"exec >&2; tree=$1/tree disk=$1/disk.img image=$2; {RECIPES[kind]}",
                    "sh", DIRECTORY, image)
        machine.run("sh", "-ec", 'chown root:root "$@" && chmod 600 "$@"', "sh", image, *other_parts(machine, image))
    return image


def other_parts(machine, image):
    """Return the other files of an image."""
    directory, _, name = image.rpartition("/")
    stem = name.rpartition(".")[0]
    found = [*machine.path(directory).glob(f"{stem}.E*"), *machine.path(directory).glob(f"{stem}-s*.vmdk")]
    return sorted(f"{directory}/{file.name}" for file in found if file.name != name)
