# SPDX-License-Identifier: LGPL-2.1-or-later
"""Contained servers that mount without libfuse, in a machine. Servers written in Go run fusermount."""

import os
import shutil
import subprocess

import pytest

from kit import images, real_servers
from kit.installed_machine import installed_machine
from kit.throwaway_machine import REPO
from kit.service_units import UNITS, add_service, blocks

SOURCES = "/usr/share/gocode"  # Go libraries of Debian packages
PROGRAM_DIRECTORY = "/usr/local/bin"
HIDDEN_DIRECTORY = "/aside"  # for the real fusermount, so that only that of fsvc is found


def build(directory, name, source):
    """Build a static program."""
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
            shutil.copy(program, machine.path(f"{PROGRAM_DIRECTORY}/{program.name}"))
        for path, text in blocks().items():
            if path.startswith(f"{UNITS}/fsvc-mine"):
                machine.path(path).write_text(text)
        images.make_tree(machine)
        machine.run("sh", "-ec", f"cd {images.DIRECTORY}/tree && zip -qr ../go.zip many text && chmod 600 ../go.zip")
        machine.run("mkdir", "-p", real_servers.MOUNTPOINT, HIDDEN_DIRECTORY)
        machine.run("sh", "-ec", f"mv /usr/bin/fusermount* {HIDDEN_DIRECTORY}")
        yield machine


def start(machine, name, line):
    add_service(machine, name, f"/usr/bin/fsvc-open --instance=%i --read-only {line}")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", f"fsvc-{name}.socket")


def test_server_with_go_fuse_serves_private_archive(machine):
    start(machine, "gozip", "--options=none -- go_zipfs")
    with real_servers.contained(machine, "gozip", f"{images.DIRECTORY}/go.zip"):
        for name in ("many", "text"):
            machine.run("diff", "--recursive", f"{images.DIRECTORY}/tree/{name}", f"{real_servers.MOUNTPOINT}/{name}")


def test_server_with_bazil_fuse_serves_its_file(machine):
    start(machine, "hello", "--options=none -- hellofs {mountpoint}")
    with real_servers.contained(machine, "hello", f"{images.DIRECTORY}/go.zip"):
        assert machine.run("cat", f"{real_servers.MOUNTPOINT}/hello").stdout == "hello, world\n"


@pytest.fixture(params=["missing", "installed"])
def real_fusermount(machine, request):
    if request.param == "installed":
        machine.run("sh", "-ec", f"cp -p {HIDDEN_DIRECTORY}/* /usr/bin")
    yield
    machine.run("sh", "-ec", "rm -f /usr/bin/fusermount*")


def test_server_with_libfuse_can_mount_with_fusermount(machine, real_fusermount):
    """libfuse runs fusermount for auto_unmount, by its path if it is installed. The real one works without
    privileges, too."""
    image = images.make_image(machine, "squashfs")
    machine.run("systemctl", "start", "fsvc-squashfs.socket")
    with real_servers.contained(machine, "squashfs", image, "-o", "auto_unmount"):
        machine.run("diff", f"{images.DIRECTORY}/tree/text", f"{real_servers.MOUNTPOINT}/text")
