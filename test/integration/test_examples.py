# SPDX-License-Identifier: LGPL-2.1-or-later
"""The examples of the manual pages, run in a machine. The examples in C are in test_library_examples.py."""

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
from test_mount_commands import HELPERS

DIRECTORY = "/examples"  # the working directory of the commands
MNT = "/mnt"
SQUASHFS = "mount -t fuse.squashfs image.squashfs"
# Commands to run setup_command an example.
SETUP_COMMANDS = {
    "fsvc-probe -m -o TARGET,MEMORY": [f"{SQUASHFS} {MNT}"],
    "fsvc-umount /mnt": [f"{SQUASHFS} {MNT}"],
    "fsvc-umount disk.img": [f"mount -t fuse.ext4 disk.img {MNT}"],
    "fsvc-umount -t 60 /mnt/*": [f"mkdir -p {MNT}/1 {MNT}/2", f"{SQUASHFS} {MNT}/1", f"{SQUASHFS} {MNT}/2"],
}


def blocks_of(kind):
    """Yield the blocks of a kind, "script" or "file", in pages of sections 7 and 8, with their pages."""
    for path in PAGES:
        if path.suffix in (".7", ".8"):
            yield from ((path, block) for block in examples(path) if block.startswith(("[", "#")) == (kind == "file"))


def is_background(block):
    return "&\n" in block


def commands():
    """Return each command line, with the name of its page."""
    return [(path.name, line) for path, block in blocks_of("script") if not is_background(block)
            for line in block.splitlines()]


@pytest.fixture(scope="module")
def machine():
    with installed_machine() as machine:
        machine.run("mount", "-t", "tmpfs", "examples", MNT)  # an empty directory, without files of the image
        machine.run("sh", "-c", "for name; do ln -sf /usr/bin/fsvc /usr/sbin/$name; done", "sh", *HELPERS)
        machine.run("systemctl", "start", *(f"fsvc-{name}.socket" for name in ("squashfs", "ewf", "ext4")))
        images.make_tree(machine)
        machine.run("mkdir", DIRECTORY)
        for kind, name in ("squashfs", "image.squashfs"), ("ext4", "disk.img"), ("ewf-segments", "disk.E01"):
            image = images.make_image(machine, kind)
            machine.run("cp", image, f"{DIRECTORY}/{name}")
        machine.run("sh", "-c", f"cp {images.DIRECTORY}/made/*.E02 {DIRECTORY}/disk.E02")
        yield machine


@pytest.fixture(autouse=True)
def nothing_is_left(machine):
    yield
    for mount in fuse_mounts(machine):
        machine.run("umount", mount.mountpoint)
    wait_for(lambda: not services(machine), 30, "the end of all services")


def services(machine):
    return machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "fsvc-*@*.service").stdout


def fuse_mounts(machine):
    return [mount for mount in mounts.mountinfo(machine.leader) if mount.type.startswith("fuse")]


def run_example(machine, line):
    return machine.run("sh", "-ec", f"cd {DIRECTORY}\n{line}")


@pytest.mark.parametrize("name, line", commands())
def test_example_command_has_documented_effect(machine, name, line):
    for setup_command in SETUP_COMMANDS.get(line, []):
        run_example(machine, setup_command)
    done = run_example(machine, line)
    if line.startswith("fsvc-umount"):
        assert fuse_mounts(machine) == []
    elif re.search(rf"\b(fuservicemount3|mount(\.fuse3)?) .*{MNT}", line):
        mount, = fuse_mounts(machine)
        assert mount.mountpoint == MNT and services(machine)
    elif not line.startswith("systemctl"):
        assert done.stdout
    assert done.stderr == "" or line.startswith("systemctl")


@contextlib.contextmanager
def service_manager(machine, line, *types):
    """Run a service manager of the pages instead of systemd."""
    sockets = [f"fsvc-{name}.socket" for name in types]
    machine.run("systemctl", "stop", *sockets)
    manager = subprocess.Popen(machine.command("sh", "-c", f"cd {DIRECTORY} && exec {line}"))
    try:
        wait_for(lambda: all(machine.path(f"/run/filesystems/{name}").exists() for name in types), 30, "the sockets")
        yield
    finally:
        for mount in fuse_mounts(machine):
            machine.run("umount", mount.mountpoint)
        machine.run("pkill", "-o", "-x", "fsvc-listen", check=False)  # a signal to nsenter would not reach it
        assert manager.wait(60) == 0
        machine.run("systemctl", "start", *sockets)


def test_fsvc_listen_example_serves_mounts(machine):
    for _, block in blocks_of("script"):
        if is_background(block):
            manager, *others = block.splitlines()
            with service_manager(machine, manager.rstrip("& "), "squashfs"):
                for line in others:
                    run_example(machine, line)
                mount, = fuse_mounts(machine)
                assert (mount.mountpoint, mount.type) == (MNT, "fuse.squashfs")


def test_example_file_of_fsvc_listen_defines_its_types(machine):
    for path, block in blocks_of("file"):
        if path.name == "fsvc-listen.8":
            machine.path(f"{DIRECTORY}/listen").write_text(block)
            types = re.findall(r"(\S+) -- ", block)
            assert {"squashfs", "ext4"} < {*types}
            with service_manager(machine, "fsvc-listen --file=listen", *types):
                for name, image in ("squashfs", "image.squashfs"), ("ext4", "disk.img"):
                    run_example(machine, f"fuservicemount3 {image} {MNT} -t {name}")
                    mount, = fuse_mounts(machine)
                    assert mount.type == f"fuse.{name}"
                    machine.run("umount", MNT)


def test_example_unit_of_fsvc_open_serves_mounts(machine):
    block, = examples(REPO / "doc/fsvc-open.8")
    add_service(machine, "example", "replaced")
    machine.path(f"{UNITS}/fsvc-example@.service").write_text(block)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "fsvc-example.socket")
    run_example(machine, f"fuservicemount3 image.squashfs {MNT} -t example")
    machine.run("diff", "-r", "--no-dereference", "--exclude=pipe", f"{images.DIRECTORY}/tree", MNT)


def test_example_policy_of_fsvc_conf_grants_file(machine):
    """The server starts only if it can read the key that the page grants."""
    block, = examples(REPO / "doc/fsvc.conf.5")
    config = re.match(r"# (/etc/fsvc/(\w+)\.conf)\n", block)
    key = re.search(r"^read (\S+)", block, re.MULTILINE)[1]
    machine.run("sh", "-ec", f"mkdir -p {key.rpartition('/')[0]} /etc/fsvc && echo opened >{key} && chmod 600 {key}")
    server = f"""/bin/sh -c 'read word <{key} && [ "$word" = opened ] && exec squashfuse -f "$1" "$2"' sh"""
    command = f"/usr/bin/fsvc-open --read-only --options=none -- {server} {{source}} {{mountpoint}}"
    add_service(machine, config[2], command)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", f"fsvc-{config[2]}.socket")
    command = ["fuservicemount3", f"{DIRECTORY}/image.squashfs", MNT, "-t", config[2]]
    assert machine.run(*command, check=False).returncode == 1
    machine.path(config[1]).write_text(block)
    done = machine.run(*command)
    assert (done.stdout, done.stderr) == ("", "")


def test_server_of_porting_guide_becomes_service(machine):
    """Compile, install and mount the server with the commands of the page."""
    document = REPO / "doc/porting.md"
    text = document.read_text()
    change = re.search(r"^```diff\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[1]
    machine.run("patch", "--output=/examples/one_file.c", REPO / "test/servers/one_file.c", input=change)
    for path, unit in blocks(document).items():
        machine.path(path).write_text(unit)
    run_example(machine, re.search(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[1])
    run_example(machine, "cmp disk.img file")
    mount, = fuse_mounts(machine)
    assert mount.type == "fuse.one_file"


def installed_files(machine):
    found = machine.run("find", "/etc", "/usr", "/lib/systemd", "-xdev", "-name", "*fsvc*", "-o", "-name", "fuservice*")
    return found.stdout.splitlines()


def test_uninstall_removes_all_files():
    """With the commands of README.md."""
    line, = re.findall("^`(systemctl disable .*)` and `(ninja .* uninstall)`", (REPO / "README.md").read_text(), re.M)
    with installed_machine() as machine:
        machine.run("systemctl", "enable", "--now", "fsvc-squashfs.socket")
        assert len(installed_files(machine)) > 50
        machine.run("sh", "-ec", line[0])
        machine.run("sh", "-ec", line[1].replace("-C build", f"-C {BUILD}"))
        assert installed_files(machine) == []
        assert list(machine.path("/run/filesystems").iterdir()) == []
