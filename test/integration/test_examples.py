# SPDX-License-Identifier: LGPL-2.1-or-later
"""The examples of the manual pages, done in a machine as they are typed; those in C are in test_library_examples.py."""

import contextlib
import re
import subprocess

import pytest

from kit import images, mounts
from kit.installed_machine import installed_machine
from kit.throwaway_machine import REPO
from kit.manual_pages import PAGES, examples
from kit.build_options import BUILD
from kit.waiting import wait_for
from kit.service_units import UNITS, add_service, blocks
from test_everyday import HELPERS

PLACE = "/examples"  # where the commands are typed
MNT = "/mnt"
SQUASHFS = "mount -t fuse.squashfs image.squashfs"
# What there has to be before a command, and what its words alone do not say.
BEFORE = {
    "fsvc-probe -m -o TARGET,MEMORY": [f"{SQUASHFS} {MNT}"],
    "fsvc-umount /mnt": [f"{SQUASHFS} {MNT}"],
    "fsvc-umount disk.img": [f"mount -t fuse.ext4 disk.img {MNT}"],
    "fsvc-umount -t 60 /mnt/*": [f"mkdir -p {MNT}/1 {MNT}/2", f"{SQUASHFS} {MNT}/1", f"{SQUASHFS} {MNT}/2"],
}


def blocks_of(kind):
    """The pages of section 7 and 8 and their blocks, where these are scripts, or files to write."""
    for path in PAGES:
        if path.suffix in (".7", ".8"):
            yield from ((path, block) for block in examples(path) if block.startswith(("[", "#")) == (kind == "file"))


def is_background(block):
    return "&\n" in block


def commands():
    """Each line that is typed, with the page's name."""
    return [(path.name, line) for path, block in blocks_of("script") if not is_background(block)
            for line in block.splitlines()]


@pytest.fixture(scope="module")
def machine():
    with installed_machine() as machine:
        machine.run("mount", "-t", "tmpfs", "examples", MNT)  # nothing of others is there
        machine.run("sh", "-c", "for name; do ln -sf /usr/bin/fsvc /usr/sbin/$name; done", "sh", *HELPERS)
        machine.run("systemctl", "start", *(f"fsvc-{name}.socket" for name in ("squashfs", "ewf", "ext4")))
        images.make_tree(machine)
        machine.run("mkdir", PLACE)
        for kind, name in ("squashfs", "image.squashfs"), ("ext4", "disk.img"), ("ewf-segments", "disk.E01"):
            image = images.make_image(machine, kind)
            machine.run("cp", image, f"{PLACE}/{name}")
        machine.run("sh", "-c", f"cp {images.PLACE}/made/*.E02 {PLACE}/disk.E02")
        yield machine


@pytest.fixture(autouse=True)
def nothing_stays_in_the_machine(machine):
    yield
    for mount in fuse_mounts(machine):
        machine.run("umount", mount.mountpoint)
    wait_for(lambda: not services(machine), 30, "the end of all services")


def services(machine):
    return machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "fsvc-*@*.service").stdout


def fuse_mounts(machine):
    return [mount for mount in mounts.mountinfo(machine.leader) if mount.type.startswith("fuse")]


def typed(machine, line):
    return machine.run("sh", "-ec", f"cd {PLACE}\n{line}")


@pytest.mark.parametrize("name, line", commands())
def test_a_command_does_what_its_page_says(machine, name, line):
    for before in BEFORE.get(line, []):
        typed(machine, before)
    done = typed(machine, line)
    if line.startswith("fsvc-umount"):
        assert fuse_mounts(machine) == []
    elif re.search(rf"\b(fuservicemount3|mount(\.fuse3)?) .*{MNT}", line):
        mount, = fuse_mounts(machine)
        assert mount.mountpoint == MNT and services(machine)
    elif not line.startswith("systemctl"):
        assert done.stdout
    assert done.stderr == "" or line.startswith("systemctl")


@contextlib.contextmanager
def listening(machine, line, *types):
    """The service manager of the pages, in systemd's place."""
    sockets = [f"fsvc-{name}.socket" for name in types]
    machine.run("systemctl", "stop", *sockets)
    manager = subprocess.Popen(machine.command("sh", "-c", f"cd {PLACE} && exec {line}"))
    try:
        wait_for(lambda: all(machine.path(f"/run/filesystems/{name}").exists() for name in types), 30, "the sockets")
        yield
    finally:
        for mount in fuse_mounts(machine):
            machine.run("umount", mount.mountpoint)
        machine.run("pkill", "-o", "-x", "fsvc-listen", check=False)  # nsenter would end alone
        assert manager.wait(60) == 0
        machine.run("systemctl", "start", *sockets)


def test_a_service_manager_that_is_started_by_hand_serves(machine):
    for _, block in blocks_of("script"):
        if is_background(block):
            manager, *others = block.splitlines()
            with listening(machine, manager.rstrip("& "), "squashfs"):
                for line in others:
                    typed(machine, line)
                mount, = fuse_mounts(machine)
                assert (mount.mountpoint, mount.type) == (MNT, "fuse.squashfs")


def test_the_file_in_the_page_of_fsvc_listen_offers_its_types(machine):
    for path, block in blocks_of("file"):
        if path.name == "fsvc-listen.8":
            machine.path(f"{PLACE}/listen").write_text(block)
            types = re.findall(r"(\S+) -- ", block)
            assert {"squashfs", "ext4"} < {*types}
            with listening(machine, "fsvc-listen --file=listen", *types):
                for name, image in ("squashfs", "image.squashfs"), ("ext4", "disk.img"):
                    typed(machine, f"fuservicemount3 {image} {MNT} -t {name}")
                    mount, = fuse_mounts(machine)
                    assert mount.type == f"fuse.{name}"
                    machine.run("umount", MNT)


def test_the_unit_in_the_page_of_fsvc_open_is_a_service(machine):
    block, = examples(REPO / "doc/fsvc-open.8")
    add_service(machine, "example", "replaced")
    machine.path(f"{UNITS}/fsvc-example@.service").write_text(block)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "fsvc-example.socket")
    typed(machine, f"fuservicemount3 image.squashfs {MNT} -t example")
    machine.run("diff", "-r", "--no-dereference", "--exclude=pipe", f"{images.PLACE}/tree", MNT)


def test_the_policy_in_the_page_of_fsvc_conf_is_one(machine):
    """A server that will not start before it has read the key that the page grants."""
    block, = examples(REPO / "doc/fsvc.conf.5")
    place = re.match(r"# (/etc/fsvc/(\w+)\.conf)\n", block)
    key = re.search(r"^read (\S+)", block, re.MULTILINE)[1]
    machine.run("sh", "-ec", f"mkdir -p {key.rpartition('/')[0]} /etc/fsvc && echo opened >{key} && chmod 600 {key}")
    server = f"""/bin/sh -c 'read word <{key} && [ "$word" = opened ] && exec squashfuse -f "$1" "$2"' sh"""
    command = f"/usr/bin/fsvc-open --read-only --options=none -- {server} {{source}} {{mountpoint}}"
    add_service(machine, place[2], command)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", f"fsvc-{place[2]}.socket")
    command = ["fuservicemount3", f"{PLACE}/image.squashfs", MNT, "-t", place[2]]
    assert machine.run(*command, check=False).returncode == 1
    machine.path(place[1]).write_text(block)
    done = machine.run(*command)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_server_of_doc_porting_is_a_service_by_its_unit(machine):
    """Compiled, installed and mounted by what the page says."""
    document = REPO / "doc/porting.md"
    text = document.read_text()
    change = re.search(r"^```diff\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[1]
    machine.run("patch", "--output=/examples/one_file.c", REPO / "test/servers/one_file.c", input=change)
    for path, unit in blocks(document).items():
        machine.path(path).write_text(unit)
    typed(machine, re.search(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[1])
    typed(machine, "cmp disk.img file")
    mount, = fuse_mounts(machine)
    assert mount.type == "fuse.one_file"


def installed(machine):
    found = machine.run("find", "/etc", "/usr", "/lib/systemd", "-xdev", "-name", "*fsvc*", "-o", "-name", "fuservice*")
    return found.stdout.splitlines()


def test_what_was_installed_from_the_sources_is_taken_away_again():
    """In the words of the README."""
    line, = re.findall("^`(systemctl disable .*)` and `(ninja .* uninstall)`", (REPO / "README.md").read_text(), re.M)
    with installed_machine() as machine:
        machine.run("systemctl", "enable", "--now", "fsvc-squashfs.socket")
        assert len(installed(machine)) > 50
        machine.run("sh", "-ec", line[0])
        machine.run("sh", "-ec", line[1].replace("-C build", f"-C {BUILD}"))
        assert installed(machine) == []
        assert list(machine.path("/run/filesystems").iterdir()) == []
