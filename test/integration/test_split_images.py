# SPDX-License-Identifier: LGPL-2.1-or-later
"""The shipped services mount images that consist of several files, such as E01 and E02, or VMDK extents."""

import pytest

from kit import file_trees, images, real_servers, server_table
from kit.installed_machine import installed_machine


@pytest.fixture(scope="module")
def machine():
    with installed_machine() as machine:
        machine.run("systemctl", "start", "fsvc-ewf.socket", "fsvc-vmdk.socket")
        images.make_tree(machine)
        yield machine


@pytest.mark.parametrize("kind", ["ewf-segments", "vmdk-extents"])
def test_image_of_several_files_is_served_as_without_sandbox(machine, kind):
    """The other files are granted on the command line, and are in the directory of the source."""
    source = images.make_image(machine, kind)
    others = images.other_parts(machine, source)
    server = next(server for server in server_table.SERVERS if server.type == kind.partition("-")[0])
    since = file_trees.now()
    with real_servers.contained(machine, server.type, source, "-o", ",".join(f"fsvc.file={name}" for name in others)):
        inside = file_trees.look(machine)
    with real_servers.without_sandbox(machine, server, source):
        outside = file_trees.look(machine)
    assert file_trees.differences(inside, outside, since) == {}
    assert len(others) > (1 if kind == "ewf-segments" else 0)


def test_missing_granted_file_is_named_in_error(machine):
    source = images.make_image(machine, "ewf-segments")
    failed = machine.run("fuservicemount3", source, real_servers.MOUNTPOINT, "-t", "ewf", "-o", "fsvc.file=/images/made/none.E02",
                         check=False)
    assert failed.returncode == 1
    assert failed.stderr.splitlines() == [f"fuservicemount3: {source}: cannot mount on {real_servers.MOUNTPOINT}: "
                                          "cannot open /images/made/none.E02: No such file or directory"]
