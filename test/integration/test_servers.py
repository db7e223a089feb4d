# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real servers, unmodified, in the shipped sandbox: what they show and write is what they do started by hand as root.

What is found goes into real_servers.json in the build directory, of which test/servers-table makes doc/servers.md.
"""

import json
import re
import shutil
from pathlib import Path

import pytest

from kit import file_trees, images, real_servers, server_table
from kit.server_info import facts
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


# Debian 12 has no erofsfuse; the table says so.
TRIED = [server for server in server_table.SERVERS if server.type != "erofs" or shutil.which("erofsfuse")]


def those(condition):
    """The servers for which the test means something."""
    return pytest.mark.parametrize("server", filter(condition, TRIED), ids=lambda server: server.type, indirect=True)


@pytest.fixture(params=TRIED, ids=lambda server: server.type)
def server(request, machine):
    server = request.param
    program = real_servers.command(machine, server)[1][0]
    if machine.run("which", program, check=False).returncode:
        pytest.skip(f"{program} is not installed")
    return server


@pytest.fixture
def image(machine, server):
    """One of its own, under a name by which the server knows it also when it is started by hand."""
    made = images.make_image(machine, server.kind)
    machine.run("rm", "-rf", real_servers.PLACE)
    machine.run("mkdir", "-p", real_servers.PLACE)
    return machine.run("sh", "-ec", 'cp "$1" "$2" && chmod 600 "$2" && echo "$2"', "sh", made,
                       f"{real_servers.PLACE}/{Path(made).name}").stdout.strip()


def compare(machine, server, source):
    """What it shows contained, once that is also what it shows by hand."""
    since = file_trees.now()
    with real_servers.contained(machine, server.type, source):
        inside = file_trees.look(machine)
    if server.device and not source.startswith("/dev/"):
        with real_servers.loop_device(machine, source) as device, real_servers.by_hand(machine, server, device):
            outside = file_trees.look(machine)
    else:
        with real_servers.by_hand(machine, server, source):
            outside = file_trees.look(machine)
    for name in inside.keys() & outside.keys():
        if name.endswith(server.varies):
            inside[name] |= {what: outside[name][what] for what in ("content", "size")}
    assert file_trees.differences(inside, outside, since) == {}
    assert "." in inside
    return inside


def test_a_private_image_shows_what_it_shows_by_hand(machine, server, image, result):
    result |= facts(machine, server)
    if server.writes:
        fill(machine, server, image)
    shown = compare(machine, server, image)
    assert len(shown) > 1 or "empty" in server.limits
    result["private image"] = result["reads"] = True


def fill(machine, server, image):
    """Puts the tree in, where no tool does: the server does it, contained."""
    with real_servers.contained(machine, server.type, image):
        machine.run("sh", "-ec", f"cd {images.PLACE}/tree; [ -e $1/text ] || {images.FILL.replace('$tree/', '')} $1",
                    "sh", real_servers.MOUNTPOINT)


@those(lambda server: not server.files)
def test_a_block_device_shows_what_it_shows_by_hand(machine, server, image, result):
    with real_servers.loop_device(machine, image) as device:
        compare(machine, server, device)
    result["block device"] = True


@those(lambda server: server.writes)
@pytest.mark.parametrize("on", ["file", "device"])
def test_what_is_written_is_there_by_hand(machine, server, image, result, on):
    fill(machine, server, image)
    with real_servers.loop_device(machine, image) as device:
        source = device if on == "device" else image
        with real_servers.contained(machine, server.type, source):
            file_trees.python(machine, file_trees.CHANGE, real_servers.MOUNTPOINT)
            written = file_trees.look(machine)
        machine.run(*server.check.split(), source)
        since = file_trees.now()
        with real_servers.by_hand(machine, server, device if server.device else source):
            found = file_trees.look(machine)
    assert file_trees.differences(file_trees.lasting(written), file_trees.lasting(found), since) == {}
    result["writes"] = True


def test_read_only_means_it(machine, server, image):
    before = machine.run("sha256sum", image).stdout
    with real_servers.contained(machine, server.type, image, "-o", "ro"):
        assert machine.run("touch", f"{real_servers.MOUNTPOINT}/new", check=False).returncode
        file_trees.look(machine)
    assert machine.run("sha256sum", image).stdout == before


# the units


def shipped(machine):
    listed = machine.run("sh", "-c", f"cd {real_servers.UNITS} && ls fsvc-*@.service").stdout.split()
    return [name for name in listed if not name.startswith("fsvc-single_file")]


def test_systemd_rates_each_service_as_hardly_exposed(machine):
    units = shipped(machine)
    report = machine.run("systemd-analyze", "security", "--no-pager", *units).stdout
    exposure = dict(re.findall(r"Overall exposure level for (\S+): ([0-9.]+)", report))
    assert len(exposure) == len(units) > 25
    assert {unit: level for unit, level in exposure.items() if float(level) > 0.6} == {}


def test_each_service_is_in_the_table(machine):
    types = {re.fullmatch(r"fsvc-(.*)@\.service", unit)[1] for unit in shipped(machine)}
    assert types <= {server.type for server in server_table.SERVERS} | server_table.UNTRIED.keys()
    table = (REPO / "doc/servers.md").read_text()
    assert {name for name in types if f"`{name}`" not in table} == set()


def test_a_missing_server_has_its_package_named(machine):
    """The program is hidden for a moment."""
    image = images.make_image(machine, "iso9660")
    machine.run("mv", "/usr/bin/fuseiso", "/usr/bin/hidden")
    try:
        failed = machine.run("fuservicemount3", image, real_servers.MOUNTPOINT, "-t", "iso9660", check=False)
    finally:
        machine.run("mv", "/usr/bin/hidden", "/usr/bin/fuseiso")
    assert failed.returncode == 1
    assert "fsvc-open: fuseiso: not installed; try 'apt install fuseiso'" in real_servers.log(machine, "iso9660").splitlines()
