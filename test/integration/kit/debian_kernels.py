# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian kernels for virtual machines, old and new. They are downloaded once, to $FSVC_KERNELS_CACHE (default:
/var/tmp/fsvc-kernels).

The packages are only unpacked. The package lists are kept apart from those of this system.
"""

import contextlib
import fcntl
import lzma
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

RELEASES = ("bullseye", "bookworm", "sid")
METAPACKAGE = "linux-image-cloud-amd64"
MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MODULES = ("virtio_pci", "virtio_blk", "fuse")  # needed to boot from a disk
CACHE = Path(os.environ.get("FSVC_KERNELS_CACHE") or "/var/tmp/fsvc-kernels")
MINUTE_S = 60


class NoMirror(Exception):
    """Nothing can be downloaded."""


class Kernel(NamedTuple):
    version: str
    image: Path
    modules: list[Path]  # uncompressed, in load order
    root: Path  # the directory with the unpacked packages


def run(*command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=10 * MINUTE_S, **options)
    if done.returncode != 0:
        raise NoMirror(f"{' '.join(map(str, command))}: {done.stdout[-2000:]}")
    return done.stdout


def apt_options(directory, release):
    """Return options of apt for separate package lists."""
    for path in "state/lists/partial", "cache/archives/partial":
        (directory / path).mkdir(parents=True)
    sources = directory / "sources.list"
    sources.write_text(f"deb [signed-by={KEYRING}] {MIRROR} {release} main\n")
    settings = {
        "Dir::State": directory / "state", "Dir::State::status": "/dev/null", "Dir::Cache": directory / "cache",
        "Dir::Etc::sourcelist": sources, "Dir::Etc::sourceparts": "/dev/null", "Acquire::Languages": "none",
        "Acquire::Check-Valid-Until": "false", "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled": "false",
        "APT::Sandbox::User": "root", "APT::Update::Error-Mode": "any",
    }
    return [option for name, value in settings.items() for option in ("-o", f"{name}={value}")]


def dependencies(options, package):
    listed = run("apt-cache", *options, "depends", package)
    return re.findall(r"^ +(?:Pre)?Depends: (\S+)$", listed, re.MULTILINE)


def packages(options):
    """Return the version and the packages of the kernel. There are several packages since Linux 6.18."""
    image = next(name for name in dependencies(options, METAPACKAGE) if name.startswith("linux-image-"))
    version = image.removeprefix("linux-image-")
    return version, [image, *(name for name in dependencies(options, image) if name.endswith(version))]


def unpack(directory, release):
    """Download and unpack the packages, and run depmod."""
    options = apt_options(directory, release)
    run("apt-get", *options, "update")
    version, names = packages(options)
    run("apt-get", *options, "download", *names, cwd=directory)
    root = directory / "root"
    for package in directory.glob("*.deb"):
        run("dpkg-deb", "--extract", package, root)
        package.unlink()
    if not (root / "lib").exists():
        (root / "lib").symlink_to("usr/lib")
    run("depmod", "--basedir", root, version)
    for path in "state", "cache":
        shutil.rmtree(directory / path)
    (directory / "version").write_text(version)  # written last: marks the directory as complete


@contextlib.contextmanager
def locked(path):
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def load_order(root, version, name):
    listed = run("modprobe", "--dirname", root, "--set-version", version, "--show-depends", name)
    return [Path(path) for path in re.findall(r"^insmod (\S+)", listed, re.MULTILINE)]


def uncompressed(module):
    """Return the path of an uncompressed copy of the module."""
    if module.suffix != ".xz":
        return module
    unpacked = module.with_suffix("")
    if not unpacked.exists():
        unpacked.write_bytes(lzma.decompress(module.read_bytes()))
    return unpacked


def fetch(release):
    """Return the newest kernel of a release, from the cache or downloaded."""
    CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
    status = CACHE.stat()
    assert status.st_uid == 0 and not status.st_mode & 0o022, f"{CACHE}: not only writable by root"
    directory = CACHE / release
    with locked(CACHE / f"{release}.lock"):
        if not (directory / "version").exists():
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            unpack(directory, release)
        version, root = (directory / "version").read_text(), directory / "root"
        modules = [module for name in MODULES for module in load_order(root, version, name)]
        images = [root / "boot" / f"vmlinuz-{version}", root / "usr/lib/modules" / version / "vmlinuz"]
        return Kernel(version, next(image for image in images if image.exists()),
                      [uncompressed(module) for module in dict.fromkeys(modules)], root)
