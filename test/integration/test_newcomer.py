# SPDX-License-Identifier: LGPL-2.1-or-later
"""From the Debian packages to a mount and back to a system that has never heard of it, on clean systems."""

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

pytestmark = pytest.mark.timeout(1800)  # the first test of a release fetches it

DOCUMENT = REPO / "doc" / "debian.md"
BUILD = REPO / "test" / "debian-packages"
RELEASES = ("bookworm", "trixie")
# A system that boots, and a tool for making an image; neither fuse3 nor any server.
CLEAN = ("systemd", "systemd-sysv", "dbus", "adduser", "procps", "squashfs-tools")
NOTHING_TESTED = 77
FOUND_NOTHING = 1  # by pgrep, findmnt and cat
MINUTES = 60

# What a machine without a network needs for installing the packages, and fuse3 by itself.
FETCH = """
mkdir -p /archives/partial
apt-get -qy --download-only -o Dir::Cache::archives=/archives install /packages/*.deb fuse3
"""
FURNISH = """
chmod 666 /dev/fuse  # udev's work, elsewhere
useradd --create-home alice
su alice -c 'mkdir ~/tree ~/mnt ~/other && echo hello >~/tree/greeting &&
    mksquashfs ~/tree ~/image.squashfs -quiet -no-progress'
"""
# What every use of the package manager leaves, and every day of a system.
NOT_COMPARED = (r"/(dev|tmp|packages|home|run/(systemd|log|dbus|mount)|var/(log|cache|tmp)|"
                r"var/lib/(apt|dpkg/(?!info)[\w-]+|systemd/linger))($|/)")
# By itself apt also keeps what others only suggest, as e2fsprogs does fuse2fs.
NOTHING_BUT_NEEDED = "-o APT::AutoRemove::SuggestsImportant=false -o APT::AutoRemove::RecommendsImportant=false"


class Release(NamedTuple):
    root: Path
    packages: Path  # built for it
    archives: Path  # what those need, Debian's own


def run(*command):
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="backslashreplace", timeout=30 * MINUTES,
                          env={**os.environ, "DEB_BUILD_OPTIONS": "nocheck"})  # these tests run elsewhere
    if done.returncode == NOTHING_TESTED:
        raise debian_releases.Unavailable(done.stdout)
    assert done.returncode == 0, done.stdout


def prepare(work, name):
    """The packages for a release, and a clean system of it, or why there is none."""
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
    """The releases that were asked for, at the same time."""
    items = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    wanted = dict.fromkeys(release for item in items for release in item.callspec.params.values())
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return dict(zip(wanted, pool.map(functools.partial(prepare, tmp_path_factory.mktemp("packages")), wanted)))


@contextlib.contextmanager
def booted(release):
    """A clean system, with the packages in /packages."""
    if not shutil.which("systemd-nspawn"):
        pytest.skip("there is no systemd-nspawn")
    if isinstance(release, str):
        pytest.skip(release)
    with Machine(root=release.root, layers=()) as machine:
        shutil.copytree(release.archives, machine.path("/var/cache/apt/archives"), dirs_exist_ok=True)
        shutil.copytree(release.packages, machine.path("/packages"))
        shell(machine, FURNISH)
        yield machine


@pytest.fixture(params=RELEASES)
def machine(request, prepared):
    with booted(prepared[request.param]) as machine:
        yield machine


@pytest.fixture(params=RELEASES, scope="module")
def installed(request, prepared):
    """With the packages, and a service enabled."""
    with booted(prepared[request.param]) as machine:
        install_and_enable(machine)
        yield machine


def shell(machine, command, check=True):
    """As root in the folder of the packages."""
    return machine.run("sh", "-ec", f"cd /packages; {command}", check=check, timeout=5 * MINUTES,
                       env={"DEBIAN_FRONTEND": "noninteractive"})


def as_alice(machine, command, check=True):
    return machine.run("su", "--login", "alice", "--command", command, check=check)


def probe(machine, *options):
    """What alice sees."""
    return json.loads(as_alice(machine, f"fsvc-probe --json {' '.join(options)}").stdout)


# What there is to be found in a system beside its files.
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
# Each file, with what can be said of it without opening it.
FILES = r"find / \( -path /proc -o -path /sys \) -prune -o -printf '%p %M %u %g %l\n'"


def state(machine, *which):
    said = {what: shell(machine, STATE[what], check=False) for what in which or STATE}
    assert [done for done in said.values() if done.returncode not in (0, FOUND_NOTHING)] == []
    return {f"{what}: {line}" for what, done in said.items() for line in done.stdout.splitlines()}


def state_and_files(machine):
    return state(machine) | {line for line in shell(machine, FILES).stdout.splitlines()
                             if not re.match(NOT_COMPARED, line.split()[0])}


def differences(now, before):
    return sorted(f"+{line}" for line in now - before) + sorted(f"-{line}" for line in before - now)


def instances(machine):
    return [line for line in state(machine, "unit") if "@" in line]


def sockets_that_listen(machine):
    listed = shell(machine, "systemctl list-units --plain --no-legend --state=active 'fsvc-*.socket'").stdout
    return [line.split()[0] for line in listed.splitlines()]


def install_and_enable(machine, *packages):
    shell(machine, f"apt install -y {' '.join(packages or ['./fsvc*.deb'])}")
    shell(machine, "systemctl enable --now fsvc-squashfs.socket")


def mount(place):
    """The words of somebody who mounts the image there, and looks at it."""
    return f"fuservicemount3 image.squashfs '{place}' -t squashfs && cmp '{place}/greeting' tree/greeting"


def test_a_newcomer_installs_mounts_looks_unmounts_and_purges(machine):
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
    shell(machine, f"apt autoremove -y --purge {NOTHING_BUT_NEEDED}")
    assert differences(state_and_files(machine), before) == []


STEPS = "+fuse3 +fsvc -fsvc +fsvc -fuse3 -fsvc +fsvc +fuse3 -fsvc".split()
COMMANDS = {"+fuse3": "dpkg -i /var/cache/apt/archives/libfuse3-[0-9]*.deb /var/cache/apt/archives/fuse3_*.deb",
            "+fsvc": "dpkg -i fsvc_*.deb", "-fuse3": "dpkg --purge fuse3", "-fsvc": "dpkg --purge fsvc"}


def test_fuse3_has_its_names_whenever_fsvc_has_not(machine):
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


PLACE = "a #1 place"  # what mount tables escape
LAST_PLACE = "other\n"  # what a shell drops at the end


def refused(machine):
    """What is said when the services cannot be removed, and are still there."""
    done = shell(machine, "apt purge -y fsvc-services", check=False)
    assert done.returncode != 0
    as_alice(machine, mount("other") + " && umount other")
    return done.stdout + done.stderr


def sleepers(machine):
    return shell(machine, "pgrep -x sleep", check=False).stdout


def wake_up(machine):
    shell(machine, "pkill -x sleep")
    wait_for(lambda: not sleepers(machine), what="the end of who sleeps")


def test_removal_unmounts_but_not_what_is_in_use_or_out_of_reach(machine):
    install_and_enable(machine)
    as_alice(machine, f"mkdir '{PLACE}' && " + mount("mnt") + " && " + mount(PLACE))
    as_alice(machine, f"cd '{PLACE}' && sleep 1000 >/dev/null 2>&1 &")
    wait_for(lambda: sleepers(machine), what="who uses the mount")
    said = refused(machine)
    assert f"/home/alice/{PLACE}" in said and "sleep" in said
    as_alice(machine, f"cmp '{PLACE}/greeting' tree/greeting")
    wake_up(machine)
    shell(machine, f"umount '/home/alice/{PLACE}' /home/alice/mnt")
    wait_for(lambda: not instances(machine), 30, "the end of the services")

    away = mount("mnt") + " && sleep 1000"
    shell(machine, f'cd ~alice; unshare --mount sh -c "{away}" >/dev/null 2>&1 &')
    wait_for(lambda: sleepers(machine), what="the mount somewhere else")
    assert "fsvc-squashfs@" in refused(machine)
    wake_up(machine)
    wait_for(lambda: not instances(machine), 30, "the end of the service")

    as_alice(machine, f"mkdir '{LAST_PLACE}' && " + " && ".join(map(mount, ("mnt", PLACE, LAST_PLACE))))
    shell(machine, "apt purge -y fsvc fsvc-services")
    assert state(machine, "unit file", "unit", "process", "mount", "in the mount table") == set()


def test_a_removal_that_is_killed_leaves_the_sockets_as_they_were(machine):
    install_and_enable(machine)
    shell(machine, "systemctl start fsvc-ext4.socket")  # for a line of fstab
    shell(machine, f'cd ~alice; unshare --mount sh -c "{mount("mnt")} && sleep 1000" >/dev/null 2>&1 &')
    wait_for(lambda: instances(machine), what="a mount out of reach, which removal waits for")
    shell(machine, "(apt purge -y fsvc-services && echo removed || echo kept) >said 2>&1 &")
    wait_for(lambda: not sockets_that_listen(machine), what="removal")
    shell(machine, "pkill -KILL -f '[f]svc-services.prerm remove'")
    said = machine.path("/packages/said")
    wait_for(lambda: said.read_text().endswith(("removed\n", "kept\n")), 30, "the end of apt")
    assert said.read_text().endswith("kept\n")
    assert sockets_that_listen(machine) == ["fsvc-ext4.socket", "fsvc-squashfs.socket"]
    wake_up(machine)
    wait_for(lambda: not instances(machine), 30, "the end of the service")


def test_who_keeps_the_mount_table_locked_does_not_keep_the_services(machine):
    install_and_enable(machine)
    as_alice(machine, mount("mnt") + " && umount mnt")
    as_alice(machine, "flock /run/mount/utab.lock sleep 1000 >/dev/null 2>&1 &")
    wait_for(lambda: sleepers(machine), what="who has the lock")
    removed = shell(machine, "apt purge -y fsvc-services")
    assert "/run/mount/utab is locked" in removed.stdout + removed.stderr
    assert state(machine, "unit file", "unit") == set()
    wake_up(machine)


def test_mount_uses_the_service(installed):
    shell(installed, "mount -t fuse.squashfs -o fsvc=require ~alice/image.squashfs ~alice/mnt")
    shell(installed, "cmp ~alice/mnt/greeting ~alice/tree/greeting")
    assert len(instances(installed)) == 1
    shell(installed, "umount ~alice/mnt")


def test_a_user_mounts_what_fstab_lets_users_mount(installed):
    line = "/home/alice/image.squashfs /home/alice/mnt fuse.squashfs noauto,user,fsvc=require 0 0"
    installed.path("/etc/fstab").write_text(f"{line}\n")
    as_alice(installed, "mount ~/mnt && cmp mnt/greeting tree/greeting && umount ~/mnt")


def test_an_upgrade_ends_no_mount_and_keeps_what_is_enabled(installed):
    as_alice(installed, mount("mnt"))
    shell(installed, "apt install -y --reinstall ./fsvc*.deb")
    as_alice(installed, "cmp mnt/greeting tree/greeting && " + mount("other"))
    as_alice(installed, "umount mnt other")


def test_an_administrator_names_the_group_that_may_mount(installed):
    """In the words of doc/debian.md; and the group of one user alone."""
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


def test_an_administrator_takes_the_bit_away(installed):
    """In the words of doc/debian.md."""
    command, = re.findall("^dpkg-statoverride .*", DOCUMENT.read_text(), re.M)
    shell(installed, f"{command}; apt install -y --reinstall ./fsvc_*.deb")
    assert installed.run("stat", "--format=%a", "/usr/bin/fsvc").stdout == "755\n"
    assert as_alice(installed, "fuservicemount3 image.squashfs mnt -t squashfs", check=False).returncode == 1
    shell(installed, "cd ~alice; fuservicemount3 image.squashfs mnt -t squashfs && umount mnt")
    shell(installed, "dpkg-statoverride --remove /usr/bin/fsvc; chmod 4755 /usr/bin/fsvc")


def test_a_service_of_ones_own_does_not_outlive_the_sandbox(installed):
    """Then the services are gone from this machine."""
    for name, place in ("mine", UNITS), ("ours", "/usr/local/lib/systemd/system"):
        add_service(installed, name, "/usr/bin/fsvc-open --read-only -- squashfuse -f")
        if place != UNITS:
            shell(installed, f"mkdir -p {place}; mv {UNITS}/fsvc-{name}[.@]* {place}")
        shell(installed, f"systemctl daemon-reload; systemctl enable --now fsvc-{name}.socket")
    as_alice(installed, "fuservicemount3 image.squashfs mnt -t mine && fuservicemount3 image.squashfs other -t ours")
    removed = shell(installed, "apt remove -y fsvc-services")
    assert state(installed, "process", "mount") == set()
    for name in "fsvc-mine.socket", "fsvc-ours.socket":
        assert f"{name} is disabled" in removed.stdout + removed.stderr
        assert shell(installed, f"systemctl is-active {name}", check=False).stdout == "inactive\n"
        assert shell(installed, f"systemctl is-enabled {name}", check=False).stdout == "disabled\n"


# A package of that name and version, with nothing in it.
EMPTY_FUSE3 = """
mkdir -p other/DEBIAN
printf '%s: %s\\n' Package fuse3 Architecture all Maintainer nobody Description none Version $1 >other/DEBIAN/control
dpkg-deb --build other .
apt install -y --allow-downgrades ./fuse3_*.deb
"""


def test_the_fuse3_of_another_release_has_fsvc_removed(installed):
    """As an upgrade of the system would: the diversions are by the names of this release.

    Then nothing of fsvc is left in this machine."""
    conflicts = shell(installed, "dpkg-query --show --showformat='${Conflicts}' fsvc").stdout
    other = "3.14.0-6" if ">=" in conflicts else "3.14.0-5"
    shell(installed, f"set -- {other}; {EMPTY_FUSE3}")
    assert [line for line in state(installed, "diverted") if "fsvc" in line] == []
    assert shell(installed, "dpkg-query --show --showformat='${Status}' fsvc").stdout == "deinstall ok config-files"


def test_the_packages_have_the_version_of_the_project():
    project = re.search(r"version: '(.*?)'", (REPO / "meson.build").read_text())[1]
    assert (REPO / "debian/changelog").read_text().startswith(f"fsvc ({project}) ")


def test_the_services_suggest_every_server():
    servers = re.findall(r"^    \['\w+', '([\w-]+)', '", (REPO / "units/meson.build").read_text(), re.M)
    services = re.search(r"^Package: fsvc-services\n.*?\n\n", (REPO / "debian/control").read_text(), re.M | re.S)[0]
    recommended, suggested = re.findall(r"^(?:Recommends|Suggests):((?:.|\n )*)", services, re.M)
    assert sorted(set(servers)) == sorted(re.findall(r"[\w-]+", recommended + suggested))
