# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers that do not mount by libfuse, in a machine, contained and unmodified: Go's call fusermount."""

import os
import shutil
import subprocess

import pytest

from kit import images, real_servers
from kit.installed_machine import installed_machine
from kit.throwaway_machine import REPO
from kit.service_units import UNITS, add_service, blocks

SOURCES = "/usr/share/gocode"  # where Debian's packages have those of Go's libraries
PLACE = "/usr/local/bin"
ASIDE = "/aside"  # where fusermount is, so that the one that stands in for it has to do


def build(directory, name, source):
    """A static program."""
    subprocess.run(["go", "build", "-o", directory / name, source], check=True, env=os.environ | {
        "GO111MODULE": "off", "GOPATH": SOURCES, "GOCACHE": str(directory / "cache"), "CGO_ENABLED": "0"})
    return directory / name


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("go")
    return [build(directory, "go_zipfs", REPO / "test/servers/go_zipfs.go"),
            build(directory, "hellofs", "bazil.org/fuse/examples/hellofs")]


@pytest.fixture(scope="module")
def machine(programs):
    with installed_machine() as machine:
        for program in programs:
            shutil.copy(program, machine.path(f"{PLACE}/{program.name}"))
        for path, text in blocks().items():
            if path.startswith(f"{UNITS}/fsvc-mine"):
                machine.path(path).write_text(text)
        images.make_tree(machine)
        machine.run("sh", "-ec", f"cd {images.PLACE}/tree && zip -qr ../go.zip many text && chmod 600 ../go.zip")
        machine.run("mkdir", "-p", real_servers.MOUNTPOINT, ASIDE)
        machine.run("sh", "-ec", f"mv /usr/bin/fusermount* {ASIDE}")
        yield machine


def start(machine, name, line):
    add_service(machine, name, f"/usr/bin/fsvc-open --instance=%i --read-only {line}")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", f"fsvc-{name}.socket")


def test_a_server_on_go_fuse_shows_an_archive_that_is_roots_alone(machine):
    start(machine, "gozip", "--options=none -- go_zipfs")
    with real_servers.contained(machine, "gozip", f"{images.PLACE}/go.zip"):
        for name in ("many", "text"):
            machine.run("diff", "--recursive", f"{images.PLACE}/tree/{name}", f"{real_servers.MOUNTPOINT}/{name}")


def test_the_example_of_the_other_library_shows_its_file(machine):
    start(machine, "hello", "--options=none -- hellofs {mountpoint}")
    with real_servers.contained(machine, "hello", f"{images.PLACE}/go.zip"):
        assert machine.run("cat", f"{real_servers.MOUNTPOINT}/hello").stdout == "hello, world\n"


@pytest.fixture(params=["missing", "there"])
def real_one(machine, request):
    if request.param == "there":
        machine.run("sh", "-ec", f"cp -p {ASIDE}/* /usr/bin")
    yield
    machine.run("sh", "-ec", "rm -f /usr/bin/fusermount*")


def test_where_libfuse_calls_fusermount_the_mount_is_there_too(machine, real_one):
    """It does for auto_unmount, and by the path where the real one is; that one, without its privilege, does as well."""
    image = images.make_image(machine, "squashfs")
    machine.run("systemctl", "start", "fsvc-squashfs.socket")
    with real_servers.contained(machine, "squashfs", image, "-o", "auto_unmount"):
        machine.run("diff", f"{images.PLACE}/tree/text", f"{real_servers.MOUNTPOINT}/text")
