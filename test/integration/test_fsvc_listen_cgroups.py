# SPDX-License-Identifier: LGPL-2.1-or-later
"""cgroup v2 limits of fsvc-listen, which apply to all processes of a service together, in a virtual machine."""

import re
import shutil
import subprocess

import pytest

from kit import debian_kernels, initramfs_tree, virtual_machine
from test_boot import executable, init  # noqa: F401: fixtures

pytestmark = pytest.mark.timeout(900)  # downloads a kernel, and boots may be emulated

BOOT_SCRIPT = """
mount proc proc /proc
mount devtmpfs dev /dev
mount tmpfs run /run mode=755
{modules}
start /bin/fsvc-listen --memory=48M --processes=30 --read-only squashfs -- squashfuse -f
await /run/filesystems/squashfs
run /bin/fuservicemount3 /dev/vda /mnt -t squashfs
mount cgroup2 cgroup /cgroup
say limits
run /bin/grep -r . /cgroup/fsvc --include=memory.max --include=memory.swap.max --include=pids.max
say processes
run /bin/grep -rc . /cgroup/fsvc --include=cgroup.procs
run /bin/fsvc-umount /mnt
empty /cgroup/fsvc
say afterwards
run /bin/find /cgroup/fsvc -type d
run /bin/mkdir /cgroup/fsvc/1.0.0 /cgroup/fsvc/99999.0.0
start /bin/fsvc-listen --read-only other -- squashfuse -f
await /run/filesystems/other
say later
run /bin/find /cgroup/fsvc -type d
say over
"""


@pytest.fixture(scope="module")
def console(executable, init, tmp_path_factory):
    """Boot a machine that mounts and unmounts once. Return its console output."""
    try:
        kernel = debian_kernels.fetch(debian_kernels.RELEASES[1])
    except debian_kernels.NoMirror as reason:
        pytest.skip(str(reason))
    work = tmp_path_factory.mktemp("cgroups")
    tree = initramfs_tree.Tree(work / "initramfs")
    tree.add(init, "/init")
    tree.add(executable, "/bin/fsvc")
    for applet in "fsvc-listen", "fuservicemount3", "fsvc-umount":
        tree.link(f"/bin/{applet}", "fsvc")
    for program in shutil.which("squashfuse"), "/bin/grep", "/bin/mkdir", "/usr/bin/find":
        tree.add_program(program)
    tree.link("/bin/find", "/usr/bin/find")
    tree.directories("/mnt", "/tmp")
    for module in kernel.modules:
        tree.add(module, f"/modules/{module.name}")
    tree.write("/etc/boot", BOOT_SCRIPT.format(modules="\n".join(f"load /modules/{each.name}" for each in kernel.modules)))
    image = work / "image"
    subprocess.run(["mksquashfs", tree.root / "etc", image, "-quiet", "-no-progress"], check=True)
    said, console = virtual_machine.boot(kernel, tree.cpio(work / "initramfs.cpio"), image)
    assert said[-2:] == ["over", "off"], console
    return console.replace("\r", "")


def between(console, first, second):
    return console.partition(f"BOOT: {first}\n")[2].partition(f"BOOT: {second}")[0]


def test_no_layer_is_missing(console):
    assert "without" not in console


def test_service_has_cgroup_with_limits(console):
    found = dict(re.findall(r"^/cgroup/fsvc/[0-9.]+/([\w.]+):(.*)$", between(console, "limits", "processes"), re.M))
    assert found == {"memory.max": str(48 << 20), "memory.swap.max": "0", "pids.max": "30"}


def test_all_processes_of_service_are_in_cgroup(console):
    counts = re.findall(r"^/cgroup/fsvc/[0-9.]+/cgroup.procs:(\d+)$", between(console, "processes", "afterwards"), re.M)
    assert counts == ["2"]  # fsvc-open and the server


def test_cgroup_is_removed_after_unmount(console):
    assert between(console, "afterwards", "later") == "/cgroup/fsvc\n"


def test_listener_removes_cgroups_of_listeners_that_have_exited(console):
    """The process ID 99999 does not exist. An empty cgroup of a running process stays."""
    assert between(console, "later", "over").split() == ["/cgroup/fsvc", "/cgroup/fsvc/1.0.0"]
