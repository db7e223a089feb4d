# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real, unmodified servers in the shipped sandbox: mounts are compared to for_servers of the same servers without sandbox.

The results are written to servers.json in the build directory, from which test/servers-table generates
doc/servers.md.
"""

import json
import re
import shutil
from pathlib import Path

import pytest

from kit import file_trees, images, real_servers, server_table
from kit.server_info import describe_server
from kit.installed_machine import installed_machine
from kit.throwaway_machine import REPO
from kit.build_options import BUILD
from kit.service_units import add_service

RESULTS = BUILD / "servers.json"


@pytest.fixture(scope="module")
def machine():
    with installed_machine() as machine:
        for server in server_table.SERVERS:
            if server.line:
                add_service(machine, server.type, f"/usr/bin/fsvc-open --instance=%i {server.line}")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "start", *(f"fsvc-{server.type}.socket" for server in server_table.SERVERS))
        images.make_tree(machine)
        yield machine


@pytest.fixture(scope="module")
def results():
    found = {"servers": {}, "untried": server_table.UNTRIED}
    yield found["servers"]
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")


@pytest.fixture
def result(server, results):
    return results.setdefault(server.type, {"limits": server.limits})


# Debian 12 has no erofsfuse, as doc/servers.md says.
TESTED_SERVERS = [server for server in server_table.SERVERS if server.type != "erofs" or shutil.which("erofsfuse")]


def for_servers(condition):
    """Run the test for the servers that match CONDITION."""
    return pytest.mark.parametrize("server", filter(condition, TESTED_SERVERS), ids=lambda server: server.type, indirect=True)


@pytest.fixture(params=TESTED_SERVERS, ids=lambda server: server.type)
def server(request, machine):
    server = request.param
    program = real_servers.command(machine, server)[1][0]
    if machine.run("which", program, check=False).returncode:
        pytest.skip(f"{program} is not installed")
    return server


@pytest.fixture
def image(machine, server):
    """An image in a private directory, for a server with and without sandbox."""
    made = images.make_image(machine, server.kind)
    machine.run("rm", "-rf", real_servers.SANDBOX_DIRECTORY)
    machine.run("mkdir", "-p", real_servers.SANDBOX_DIRECTORY)
    return machine.run("sh", "-ec", 'cp "$1" "$2" && chmod 600 "$2" && echo "$2"', "sh", made,
                       f"{real_servers.SANDBOX_DIRECTORY}/{Path(made).name}").stdout.strip()


def compare(machine, server, source):
    """Check that the mounts with and without sandbox are equal. Return the files."""
    since = file_trees.now()
    with real_servers.contained(machine, server.type, source):
        inside = file_trees.look(machine)
    if server.device and not source.startswith("/dev/"):
        with real_servers.loop_device(machine, source) as device, real_servers.without_sandbox(machine, server, device):
            outside = file_trees.look(machine)
    else:
        with real_servers.without_sandbox(machine, server, source):
            outside = file_trees.look(machine)
    for name in inside.keys() & outside.keys():
        if name.endswith(server.varies):
            inside[name] |= {key: outside[name][key] for key in ("content", "size")}
    assert file_trees.differences(inside, outside, since) == {}
    assert "." in inside
    return inside


def test_private_image_is_served_as_without_sandbox(machine, server, image, result):
    result |= describe_server(machine, server)
    if server.writes:
        copy_tree(machine, server, image)
    shown = compare(machine, server, image)
    assert len(shown) > 1 or "empty" in server.limits
    result["private image"] = result["reads"] = True


def copy_tree(machine, server, image):
    """Copy the tree to the mount of the contained server, for types without a tool that makes images."""
    with real_servers.contained(machine, server.type, image):
        machine.run("sh", "-ec", f"cd {images.DIRECTORY}/tree; [ -e $1/text ] || {images.FILL.replace('$tree/', '')} $1",
                    "sh", real_servers.MOUNTPOINT)


@for_servers(lambda server: not server.files)
def test_block_device_is_served_as_without_sandbox(machine, server, image, result):
    with real_servers.loop_device(machine, image) as device:
        compare(machine, server, device)
    result["block device"] = True


@for_servers(lambda server: server.writes)
@pytest.mark.parametrize("on", ["file", "device"])
def test_written_data_is_correct_without_sandbox(machine, server, image, result, on):
    copy_tree(machine, server, image)
    with real_servers.loop_device(machine, image) as device:
        source = device if on == "device" else image
        with real_servers.contained(machine, server.type, source):
            file_trees.python(machine, file_trees.CHANGE, real_servers.MOUNTPOINT)
            written = file_trees.look(machine)
        machine.run(*server.check.split(), source)
        since = file_trees.now()
        with real_servers.without_sandbox(machine, server, device if server.device else source):
            found = file_trees.look(machine)
    assert file_trees.differences(file_trees.without_directory_times(written), file_trees.without_directory_times(found), since) == {}
    result["writes"] = True


def test_read_only_mount_does_not_change_image(machine, server, image):
    before = machine.run("sha256sum", image).stdout
    with real_servers.contained(machine, server.type, image, "-o", "ro"):
        assert machine.run("touch", f"{real_servers.MOUNTPOINT}/new", check=False).returncode
        file_trees.look(machine)
    assert machine.run("sha256sum", image).stdout == before


# the units


def shipped(machine):
    listed = machine.run("sh", "-c", f"cd {real_servers.UNITS} && ls fsvc-*@.service").stdout.split()
    return [name for name in listed if not name.startswith("fsvc-single_file")]


def test_systemd_analyze_rates_exposure_as_low(machine):
    units = shipped(machine)
    report = machine.run("systemd-analyze", "security", "--no-pager", *units).stdout
    exposure = dict(re.findall(r"Overall exposure level for (\S+): ([0-9.]+)", report))
    assert len(exposure) == len(units) > 25
    assert {unit: level for unit, level in exposure.items() if float(level) > 0.6} == {}


def test_all_service_types_are_in_table(machine):
    types = {re.fullmatch(r"fsvc-(.*)@\.service", unit)[1] for unit in shipped(machine)}
    assert types <= {server.type for server in server_table.SERVERS} | server_table.UNTRIED.keys()
    table = (REPO / "doc/servers.md").read_text()
    assert {name for name in types if f"`{name}`" not in table} == set()


def test_missing_server_is_reported_with_its_package(machine):
    """The program is renamed during the test."""
    image = images.make_image(machine, "iso9660")
    machine.run("mv", "/usr/bin/fuseiso", "/usr/bin/hidden")
    try:
        failed = machine.run("fuservicemount3", image, real_servers.MOUNTPOINT, "-t", "iso9660", check=False)
    finally:
        machine.run("mv", "/usr/bin/hidden", "/usr/bin/fuseiso")
    assert failed.returncode == 1
    assert "fsvc-open: fuseiso: not installed; try 'apt install fuseiso'" in real_servers.log(machine, "iso9660").splitlines()
