# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian packages on clean systems: installation, use, upgrade and removal."""

import concurrent.futures
import contextlib
import functools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from kit import debian_releases
from kit.throwaway_machine import REPO, Machine
from kit.waiting import wait_for
from kit.service_units import UNITS, add_service

pytestmark = pytest.mark.timeout(1800)  # the first test of a release downloads it

DOCUMENT = REPO / "doc" / "debian.md"
BUILD = REPO / "test" / "debian-packages"
RELEASES = ("bookworm", "trixie")
# A system that boots and can make an image, without fuse3 and servers.
CLEAN = ("systemd", "systemd-sysv", "dbus", "adduser", "procps", "squashfs-tools")
NOTHING_TESTED = 77
NOT_FOUND = 1  # exit status of pgrep, findmnt and cat
MINUTE_S = 60

# Packages that the installation needs, and fuse3, for a machine without a network.
FETCH = """
mkdir -p /archives/partial
apt-get -qy --download-only -o Dir::Cache::archives=/archives install /packages/*.deb fuse3
"""
PREPARE = """
chmod 666 /dev/fuse  # udev does this on real systems
useradd --create-home alice
su alice -c 'mkdir ~/tree ~/mnt ~/other && echo hello >~/tree/greeting &&
    mksquashfs ~/tree ~/image.squashfs -quiet -no-progress'
"""
# Files that change with any use of apt, and while the system runs.
NOT_COMPARED = (r"/(dev|tmp|packages|home|run/(systemd|log|dbus|mount)|var/(log|cache|tmp)|"
                r"var/lib/(apt|dpkg/(?!info)[\w-]+|systemd/linger))($|/)")
# By default, apt also keeps packages that others only suggest, such as fuse2fs for e2fsprogs.
ONLY_DEPENDENCIES = "-o APT::AutoRemove::SuggestsImportant=false -o APT::AutoRemove::RecommendsImportant=false"


class Release(NamedTuple):
    root: Path
    packages: Path  # the packages of fsvc
    archives: Path  # the Debian packages that they need


def run(*command):
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="backslashreplace", timeout=30 * MINUTE_S,
                          env={**os.environ, "DEB_BUILD_OPTIONS": "nocheck"})  # the unit tests run elsewhere
    if done.returncode == NOTHING_TESTED:
        raise debian_releases.Unavailable(done.stdout)
    assert done.returncode == 0, done.stdout


def prepare(work, name):
    """Build the packages for a release and a clean system. Return the reason as text if that is not possible."""
    try:
        release = Release(debian_releases.unpacked(name, CLEAN), work / name, debian_releases.cache() / f"{name}.newcomer")
        run(BUILD, name, release.packages)
        release.archives.mkdir(exist_ok=True)
        run(*debian_releases.entered(release.root), "--volatile=overlay", f"--bind-ro={release.packages}:/packages",
            f"--bind={release.archives}:/archives", "--", "sh", "-ec", FETCH)
        return release
    except debian_releases.Unavailable as reason:
        return str(reason)


@pytest.fixture(scope="module")
def prepared(request, tmp_path_factory):
    """Prepare all requested releases in parallel."""
    items = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    wanted = dict.fromkeys(release for item in items for release in item.callspec.params.values())
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return dict(zip(wanted, pool.map(functools.partial(prepare, tmp_path_factory.mktemp("packages")), wanted)))


@contextlib.contextmanager
def booted(release):
    """Boot a clean system, with the packages in /packages."""
    if not shutil.which("systemd-nspawn"):
        pytest.skip("systemd-nspawn is not installed")
    if isinstance(release, str):
        pytest.skip(release)
    with Machine(root=release.root, layers=()) as machine:
        shutil.copytree(release.archives, machine.path("/var/cache/apt/archives"), dirs_exist_ok=True)
        shutil.copytree(release.packages, machine.path("/packages"))
        shell(machine, PREPARE)
        yield machine


@pytest.fixture(params=RELEASES)
def machine(request, prepared):
    with booted(prepared[request.param]) as machine:
        yield machine


@pytest.fixture(params=RELEASES, scope="module")
def installed(request, prepared):
    """A system with the packages and an enabled service."""
    with booted(prepared[request.param]) as machine:
        install_and_enable(machine)
        yield machine


def shell(machine, command, check=True):
    """Run a command as root in /packages."""
    return machine.run("sh", "-ec", f"cd /packages; {command}", check=check, timeout=5 * MINUTE_S,
                       env={"DEBIAN_FRONTEND": "noninteractive"})


def as_alice(machine, command, check=True):
    return machine.run("su", "--login", "alice", "--command", command, check=check)


def probe(machine, *options):
    """Return the output of fsvc-probe for alice."""
    return json.loads(as_alice(machine, f"fsvc-probe --json {' '.join(options)}").stdout)


# The state of the system, except files.
STATE = {
    "package": "dpkg-query --show --showformat='${Package} ${Status}\\n'",
    "diverted": "dpkg-divert --list",
    "overridden": "dpkg-statoverride --list",
    "unit file": "systemctl list-unit-files --plain --no-legend 'fsvc*'",
    "unit": "systemctl list-units --all --plain --no-legend 'fsvc*'",
    "failed": "systemctl --failed --plain --no-legend",
    "process": "pgrep --list-full 'fsvc|squashfuse'",
    "mount": "findmnt --list --noheadings --types fuse,fuseblk,fuse.squashfs",
    "in the mount table": "cat /run/mount/utab",
}
# All files, with their attributes.
FILES = r"find / \( -path /proc -o -path /sys \) -prune -o -printf '%p %M %u %g %l\n'"


def state(machine, *kinds):
    said = {kind: shell(machine, STATE[kind], check=False) for kind in kinds or STATE}
    assert [done for done in said.values() if done.returncode not in (0, NOT_FOUND)] == []
    return {f"{kind}: {line}" for kind, done in said.items() for line in done.stdout.splitlines()}


def state_and_files(machine):
    return state(machine) | {line for line in shell(machine, FILES).stdout.splitlines()
                             if not re.match(NOT_COMPARED, line.split()[0])}


def differences(now, before):
    return sorted(f"+{line}" for line in now - before) + sorted(f"-{line}" for line in before - now)


def instances(machine):
    return [line for line in state(machine, "unit") if "@" in line]


def listening_sockets(machine):
    listed = shell(machine, "systemctl list-units --plain --no-legend --state=active 'fsvc-*.socket'").stdout
    return [line.split()[0] for line in listed.splitlines()]


def install_and_enable(machine, *packages):
    shell(machine, f"apt install -y {' '.join(packages or ['./fsvc*.deb'])}")
    shell(machine, "systemctl enable --now fsvc-squashfs.socket")


def mount(target):
    """Return the command that mounts the image and compares a file."""
    return f"fuservicemount3 image.squashfs '{target}' -t squashfs && cmp '{target}/greeting' tree/greeting"


def test_packages_can_be_installed_used_and_purged(machine):
    before = state_and_files(machine)
    shell(machine, "apt install -y ./fsvc*.deb")
    assert not [line for line in state(machine, "unit file") if "enabled" in line.split()]
    assert state(machine, "unit") == set()
    shell(machine, "systemctl enable --now fsvc-squashfs.socket")
    states = {service["type"]: service["state"] for service in probe(machine)["services"]}
    assert (states["squashfs"], states["ext4"]) == ("ready", "not-listening")
    as_alice(machine, mount("mnt"))
    seen, = probe(machine, "-m")["mounts"]
    assert (seen["type"], seen["target"], seen["user"]) == ("squashfs", "/home/alice/mnt", "alice")
    assert seen["unit"].startswith("fsvc-squashfs@")
    as_alice(machine, "umount mnt")
    wait_for(lambda: not instances(machine), 30, "the end of the service")
    assert probe(machine, "-m")["mounts"] == []
    shell(machine, "apt install -y ./libfsvc*.deb")
    shell(machine, "apt purge -y fsvc fsvc-services libfsvc0 libfsvc-dev")
    assert state(machine, "unit file", "unit", "process") == set()
    shell(machine, f"apt autoremove -y --purge {ONLY_DEPENDENCIES}")
    assert differences(state_and_files(machine), before) == []


STEPS = "+fuse3 +fsvc -fsvc +fsvc -fuse3 -fsvc +fsvc +fuse3 -fsvc".split()
COMMANDS = {"+fuse3": "dpkg -i /var/cache/apt/archives/libfuse3-[0-9]*.deb /var/cache/apt/archives/fuse3_*.deb",
            "+fsvc": "dpkg -i fsvc_*.deb", "-fuse3": "dpkg --purge fuse3", "-fsvc": "dpkg --purge fsvc"}


def test_fuse3_owns_mount_helpers_without_fsvc(machine):
    before, installed = state(machine, "diverted"), set()
    for step in STEPS:
        shell(machine, COMMANDS[step])
        installed ^= {step[1:]}
        names = set(shell(machine, "readlink -f /sbin/mount.fuse /sbin/mount.fuse3 || :").stdout.split())
        pages = shell(machine, "find /usr/share/man/man8 -name 'mount.fuse*'").stdout
        if "fsvc" in installed:
            assert names == {"/usr/bin/fsvc"}, step
        elif "fuse3" in installed:
            assert names == {"/usr/sbin/mount.fuse3"}, step
            assert "mount.fuse3.8.gz" in pages, step
            assert shell(machine, "dpkg --verify fuse3").stdout == "", step
        else:
            assert shell(machine, "find /usr/sbin -name '*mount.fuse*'").stdout + pages == "", step
        assert ("fsvc" in installed) == (state(machine, "diverted") != before), step


ESCAPED_NAME = "a #1 name"  # mount tables escape these characters
NAME_WITH_NEWLINE = "other\n"  # a shell removes the final newline


def purge_fails(machine):
    """Check that purging fails and the services still work. Return the output."""
    done = shell(machine, "apt purge -y fsvc-services", check=False)
    assert done.returncode != 0
    as_alice(machine, mount("other") + " && umount other")
    return done.stdout + done.stderr


def sleepers(machine):
    return shell(machine, "pgrep -x sleep", check=False).stdout


def wake_up(machine):
    shell(machine, "pkill -x sleep")
    wait_for(lambda: not sleepers(machine), what="the end of sleep")


def test_removal_unmounts_but_fails_for_busy_or_unreachable_mounts(machine):
    install_and_enable(machine)
    as_alice(machine, f"mkdir '{ESCAPED_NAME}' && " + mount("mnt") + " && " + mount(ESCAPED_NAME))
    as_alice(machine, f"cd '{ESCAPED_NAME}' && sleep 1000 >/dev/null 2>&1 &")
    wait_for(lambda: sleepers(machine), what="a process that uses the mount")
    said = purge_fails(machine)
    assert f"/home/alice/{ESCAPED_NAME}" in said and "sleep" in said
    as_alice(machine, f"cmp '{ESCAPED_NAME}/greeting' tree/greeting")
    wake_up(machine)
    shell(machine, f"umount '/home/alice/{ESCAPED_NAME}' /home/alice/mnt")
    wait_for(lambda: not instances(machine), 30, "the end of the services")

    away = mount("mnt") + " && sleep 1000"
    shell(machine, f'cd ~alice; unshare --mount sh -c "{away}" >/dev/null 2>&1 &')
    wait_for(lambda: sleepers(machine), what="the mount in another namespace")
    assert "fsvc-squashfs@" in purge_fails(machine)
    wake_up(machine)
    wait_for(lambda: not instances(machine), 30, "the end of the service")

    as_alice(machine, f"mkdir '{NAME_WITH_NEWLINE}' && " + " && ".join(map(mount, ("mnt", ESCAPED_NAME, NAME_WITH_NEWLINE))))
    shell(machine, "apt purge -y fsvc fsvc-services")
    assert state(machine, "unit file", "unit", "process", "mount", "in the mount table") == set()


def test_killed_removal_does_not_change_sockets(machine):
    install_and_enable(machine)
    shell(machine, "systemctl start fsvc-ext4.socket")  # as an entry of fstab does
    shell(machine, f'cd ~alice; unshare --mount sh -c "{mount("mnt")} && sleep 1000" >/dev/null 2>&1 &')
    wait_for(lambda: instances(machine), what="a mount in another namespace, which the removal waits for")
    shell(machine, "(apt purge -y fsvc-services && echo removed || echo kept) >said 2>&1 &")
    wait_for(lambda: not listening_sockets(machine), what="the removal")
    shell(machine, "pkill -KILL -f '[f]svc-services.prerm remove'")
    said = machine.path("/packages/said")
    wait_for(lambda: said.read_text().endswith(("removed\n", "kept\n")), 30, "the end of apt")
    assert said.read_text().endswith("kept\n")
    assert listening_sockets(machine) == ["fsvc-ext4.socket", "fsvc-squashfs.socket"]
    wake_up(machine)
    wait_for(lambda: not instances(machine), 30, "the end of the service")


def test_locked_mount_table_does_not_prevent_removal(machine):
    install_and_enable(machine)
    as_alice(machine, mount("mnt") + " && umount mnt")
    as_alice(machine, "flock /run/mount/utab.lock sleep 1000 >/dev/null 2>&1 &")
    wait_for(lambda: sleepers(machine), what="the process with the lock")
    removed = shell(machine, "apt purge -y fsvc-services")
    assert "/run/mount/utab is locked" in removed.stdout + removed.stderr
    assert state(machine, "unit file", "unit") == set()
    wake_up(machine)


def test_mount_uses_service(installed):
    shell(installed, "mount -t fuse.squashfs -o fsvc=require ~alice/image.squashfs ~alice/mnt")
    shell(installed, "cmp ~alice/mnt/greeting ~alice/tree/greeting")
    assert len(instances(installed)) == 1
    shell(installed, "umount ~alice/mnt")


def test_user_can_mount_entry_of_fstab(installed):
    line = "/home/alice/image.squashfs /home/alice/mnt fuse.squashfs noauto,user,fsvc=require 0 0"
    installed.path("/etc/fstab").write_text(f"{line}\n")
    as_alice(installed, "mount ~/mnt && cmp mnt/greeting tree/greeting && umount ~/mnt")


def test_upgrade_keeps_mounts_and_enabled_sockets(installed):
    as_alice(installed, mount("mnt"))
    shell(installed, "apt install -y --reinstall ./fsvc*.deb")
    as_alice(installed, "cmp mnt/greeting tree/greeting && " + mount("other"))
    as_alice(installed, "umount mnt other")


def test_administrator_can_choose_group_that_may_mount(installed):
    """With the file in doc/debian.md, and with the group of a single user."""
    (name, text), = re.findall(r"^```ini\n# (\S+)\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)
    path = installed.path(name)
    path.parent.mkdir()
    mounts = mount("mnt") + " && umount mnt"
    for group, join in ("plugdev", "usermod --append --groups plugdev alice"), ("alice", ""):
        path.write_text(text.replace("plugdev", group))
        shell(installed, "systemctl daemon-reload; systemctl restart fsvc-squashfs.socket")
        if join:
            assert as_alice(installed, mounts, check=False).returncode == 1
            shell(installed, join)
        as_alice(installed, mounts)
        assert installed.run("su", "nobody", "-s", "/usr/bin/fsvc-probe", "--", "--check", "squashfs",
                             check=False).returncode == 1
    shutil.rmtree(path.parent)
    shell(installed, "systemctl daemon-reload; systemctl restart fsvc-squashfs.socket")


def test_administrator_can_remove_set_user_id_bit(installed):
    """With the command in doc/debian.md."""
    command, = re.findall("^dpkg-statoverride .*", DOCUMENT.read_text(), re.M)
    shell(installed, f"{command}; apt install -y --reinstall ./fsvc_*.deb")
    assert installed.run("stat", "--format=%a", "/usr/bin/fsvc").stdout == "755\n"
    assert as_alice(installed, "fuservicemount3 image.squashfs mnt -t squashfs", check=False).returncode == 1
    shell(installed, "cd ~alice; fuservicemount3 image.squashfs mnt -t squashfs && umount mnt")
    shell(installed, "dpkg-statoverride --remove /usr/bin/fsvc; chmod 4755 /usr/bin/fsvc")


def test_own_services_are_disabled_when_sandbox_is_removed(installed):
    """The services are not installed on this machine after this test."""
    for name, directory in ("mine", UNITS), ("ours", "/usr/local/lib/systemd/system"):
        add_service(installed, name, "/usr/bin/fsvc-open --read-only -- squashfuse -f")
        if directory != UNITS:
            shell(installed, f"mkdir -p {directory}; mv {UNITS}/fsvc-{name}[.@]* {directory}")
        shell(installed, f"systemctl daemon-reload; systemctl enable --now fsvc-{name}.socket")
    as_alice(installed, "fuservicemount3 image.squashfs mnt -t mine && fuservicemount3 image.squashfs other -t ours")
    removed = shell(installed, "apt remove -y fsvc-services")
    assert state(installed, "process", "mount") == set()
    for name in "fsvc-mine.socket", "fsvc-ours.socket":
        assert f"{name} is disabled" in removed.stdout + removed.stderr
        assert shell(installed, f"systemctl is-active {name}", check=False).stdout == "inactive\n"
        assert shell(installed, f"systemctl is-enabled {name}", check=False).stdout == "disabled\n"


# An empty package with this name and version.
EMPTY_FUSE3 = """
mkdir -p other/DEBIAN
printf '%s: %s\\n' Package fuse3 Architecture all Maintainer nobody Description none Version $1 >other/DEBIAN/control
dpkg-deb --build other .
apt install -y --allow-downgrades ./fuse3_*.deb
"""


def test_other_version_of_fuse3_removes_fsvc(installed):
    """As an upgrade of the system does: the diversions are for the paths of this release.

    fsvc is not installed on this machine after this test.
    """
    conflicts = shell(installed, "dpkg-query --show --showformat='${Conflicts}' fsvc").stdout
    other = "3.14.0-6" if ">=" in conflicts else "3.14.0-5"
    shell(installed, f"set -- {other}; {EMPTY_FUSE3}")
    assert [line for line in state(installed, "diverted") if "fsvc" in line] == []
    assert shell(installed, "dpkg-query --show --showformat='${Status}' fsvc").stdout == "deinstall ok config-files"


def test_packages_have_version_of_project():
    project = re.search(r"version: '(.*?)'", (REPO / "meson.build").read_text())[1]
    assert (REPO / "debian/changelog").read_text().startswith(f"fsvc ({project}) ")


def test_services_package_suggests_all_servers():
    servers = re.findall(r"^    \['\w+', '([\w-]+)', '", (REPO / "units/meson.build").read_text(), re.M)
    services = re.search(r"^Package: fsvc-services\n.*?\n\n", (REPO / "debian/control").read_text(), re.M | re.S)[0]
    recommended, suggested = re.findall(r"^(?:Recommends|Suggests):((?:.|\n )*)", services, re.M)
    assert sorted(set(servers)) == sorted(re.findall(r"[\w-]+", recommended + suggested))
