# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real servers, unmodified, in the shipped sandbox: what they show and write is what they do started by hand as root.

What is found goes into servers.json in the build directory, of which test/servers-table makes doc/servers.md.
"""

import json
import re
import shutil
from pathlib import Path

import pytest

from kit import images, servers
from kit.facts import facts
from kit.installed import installed_machine
from kit.machine import REPO
from kit.programs import BUILD
from kit.services import add_service

RESULTS = BUILD / "servers.json"


@pytest.fixture(scope="module")
def machine():
    with installed_machine() as machine:
        for server in servers.SERVERS:
            if server.line:
                add_service(machine, server.type, f"/usr/bin/fsvc-open --instance=%i {server.line}")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "start", *(f"fsvc-{server.type}.socket" for server in servers.SERVERS))
        images.make_tree(machine)
        yield machine


@pytest.fixture(scope="module")
def results():
    found = {"servers": {}, "untried": servers.UNTRIED}
    yield found["servers"]
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")


@pytest.fixture
def result(server, results):
    return results.setdefault(server.type, {"limits": server.limits})


# Debian 12 has no erofsfuse; the table says so.
TRIED = [server for server in servers.SERVERS if server.type != "erofs" or shutil.which("erofsfuse")]


def those(condition):
    """The servers for which the test means something."""
    return pytest.mark.parametrize("server", filter(condition, TRIED), ids=lambda server: server.type, indirect=True)


@pytest.fixture(params=TRIED, ids=lambda server: server.type)
def server(request, machine):
    server = request.param
    program = servers.command(machine, server)[1][0]
    if machine.run("which", program, check=False).returncode:
        pytest.skip(f"{program} is not installed")
    return server


@pytest.fixture
def image(machine, server):
    """One of its own, under a name by which the server knows it also when it is started by hand."""
    made = images.make_image(machine, server.kind)
    machine.run("rm", "-rf", servers.PLACE)
    machine.run("mkdir", "-p", servers.PLACE)
    return machine.run("sh", "-ec", 'cp "$1" "$2" && chmod 600 "$2" && echo "$2"', "sh", made,
                       f"{servers.PLACE}/{Path(made).name}").stdout.strip()


def compare(machine, server, source):
    """What it shows contained, once that is also what it shows by hand."""
    since = servers.now()
    with servers.contained(machine, server.type, source):
        inside = servers.look(machine)
    if server.device and not source.startswith("/dev/"):
        with servers.loop_device(machine, source) as device, servers.by_hand(machine, server, device):
            outside = servers.look(machine)
    else:
        with servers.by_hand(machine, server, source):
            outside = servers.look(machine)
    for name in inside.keys() & outside.keys():
        if name.endswith(server.varies):
            inside[name] |= {what: outside[name][what] for what in ("content", "size")}
    assert servers.differences(inside, outside, since) == {}
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
    with servers.contained(machine, server.type, image):
        machine.run("sh", "-ec", f"cd {images.PLACE}/tree; [ -e $1/text ] || {images.FILL.replace('$tree/', '')} $1",
                    "sh", servers.MOUNTPOINT)


@those(lambda server: not server.files)
def test_a_block_device_shows_what_it_shows_by_hand(machine, server, image, result):
    with servers.loop_device(machine, image) as device:
        compare(machine, server, device)
    result["block device"] = True


@those(lambda server: server.writes)
@pytest.mark.parametrize("on", ["file", "device"])
def test_what_is_written_is_there_by_hand(machine, server, image, result, on):
    fill(machine, server, image)
    with servers.loop_device(machine, image) as device:
        source = device if on == "device" else image
        with servers.contained(machine, server.type, source):
            servers.python(machine, servers.CHANGE, servers.MOUNTPOINT)
            written = servers.look(machine)
        machine.run(*server.check.split(), source)
        since = servers.now()
        with servers.by_hand(machine, server, device if server.device else source):
            found = servers.look(machine)
    assert servers.differences(servers.lasting(written), servers.lasting(found), since) == {}
    result["writes"] = True


def test_read_only_means_it(machine, server, image):
    before = machine.run("sha256sum", image).stdout
    with servers.contained(machine, server.type, image, "-o", "ro"):
        assert machine.run("touch", f"{servers.MOUNTPOINT}/new", check=False).returncode
        servers.look(machine)
    assert machine.run("sha256sum", image).stdout == before


@pytest.mark.parametrize("kind", ["ewf-segments", "vmdk-extents"])
def test_an_image_in_several_files_shows_what_it_shows_by_hand(machine, kind):
    """A service sees those that the command line names, next to its source."""
    source = images.make_image(machine, kind)
    others = images.beside(machine, source)
    server = next(server for server in servers.SERVERS if server.type == kind.partition("-")[0])
    since = servers.now()
    with servers.contained(machine, server.type, source, "-o", ",".join(f"fsvc.file={name}" for name in others)):
        inside = servers.look(machine)
    with servers.by_hand(machine, server, source):
        outside = servers.look(machine)
    assert servers.differences(inside, outside, since) == {}
    assert len(others) > (1 if kind == "ewf-segments" else 0)


def test_a_file_beside_the_source_that_is_not_there_is_named(machine):
    source = images.make_image(machine, "ewf-segments")
    failed = machine.run("fuservicemount3", source, servers.MOUNTPOINT, "-t", "ewf", "-o", "fsvc.file=/images/made/none.E02",
                         check=False)
    assert failed.returncode == 1
    assert failed.stderr.splitlines() == [f"fuservicemount3: cannot mount {source} on {servers.MOUNTPOINT}: "
                                          "cannot open /images/made/none.E02: No such file or directory"]


# the units


def shipped(machine):
    listed = machine.run("sh", "-c", f"cd {servers.UNITS} && ls fsvc-*@.service").stdout.split()
    return [name for name in listed if not name.startswith("fsvc-single_file")]


def test_systemd_rates_each_service_as_hardly_exposed(machine):
    units = shipped(machine)
    report = machine.run("systemd-analyze", "security", "--no-pager", *units).stdout
    exposure = dict(re.findall(r"Overall exposure level for (\S+): ([0-9.]+)", report))
    assert len(exposure) == len(units) > 25
    assert {unit: level for unit, level in exposure.items() if float(level) > 0.6} == {}


def test_each_service_is_in_the_table(machine):
    types = {re.fullmatch(r"fsvc-(.*)@\.service", unit)[1] for unit in shipped(machine)}
    assert types <= {server.type for server in servers.SERVERS} | servers.UNTRIED.keys()
    table = (REPO / "doc/servers.md").read_text()
    assert {name for name in types if f"`{name}`" not in table} == set()


def test_a_missing_server_has_its_package_named(machine):
    """The program is hidden for a moment."""
    image = images.make_image(machine, "iso9660")
    machine.run("mv", "/usr/bin/fuseiso", "/usr/bin/hidden")
    try:
        failed = machine.run("fuservicemount3", image, servers.MOUNTPOINT, "-t", "iso9660", check=False)
    finally:
        machine.run("mv", "/usr/bin/hidden", "/usr/bin/fuseiso")
    assert failed.returncode == 1
    assert "fsvc-open: fuseiso: not installed; try 'apt install fuseiso'" in servers.log(machine, "iso9660").splitlines()
