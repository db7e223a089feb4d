# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mount an image by a real server, as a service and by hand as root, in a throwaway machine."""

import contextlib
import re
import shlex

from . import loop_devices
from . import waiting

UNITS = "/usr/lib/systemd/system"
MOUNTPOINT = "/images/mnt"
PLACE = "/fsvc"  # by hand a server is given the names that it has as a service


def command(machine, server):
    """What fsvc-open is told, as words: its own, and the server's."""
    unit = machine.run("systemctl", "cat", f"fsvc-{server.type}@.service").stdout
    own, _, line = re.findall(r"^ExecStart=\S+ (.*)$", unit, re.M)[-1].partition("-- ")
    return shlex.split(own), shlex.split(line)


def package(machine, server):
    own, _ = command(machine, server)
    return server.package or next(word.partition("=")[2] for word in own if word.startswith("--package="))


def hand_line(machine, server, source):
    """The command line of a server that root starts by hand."""
    own, words = command(machine, server)
    names = {"{source}": source, "{mountpoint}": MOUNTPOINT, "{uid}": "0"}
    line = words
    for name, value in names.items():
        line = [word.replace(name, value) for word in line]
    if not any("{source}" in word for word in words):
        line += [source, MOUNTPOINT]
    before_options = next((word.partition("=")[2] for word in own if word.startswith("--options=")), "-o")
    return line if before_options == "none" or "--read-only" not in own else [*line, before_options, "ro"]


def is_mounted(machine):
    return machine.run("mountpoint", "-q", MOUNTPOINT, check=False).returncode == 0


@contextlib.contextmanager
def by_hand(machine, server, source):
    """The filesystem mounted by the server alone, which root has started."""
    unit = "by-hand.service"
    machine.run("systemd-run", "--quiet", "--unit", unit, "--property=ExitType=cgroup", "--setenv=LANG=C.UTF-8",
                *hand_line(machine, server, source))
    try:
        waiting.wait_for(lambda: is_mounted(machine) or not is_active(machine, unit), 20, "the mount by hand")
        assert is_mounted(machine), machine.run("journalctl", "-u", unit, "-o", "cat").stdout
        yield
        machine.run("umount", MOUNTPOINT)
        waiting.wait_for(lambda: not is_active(machine, unit), 30, "the server's end")
    finally:
        machine.run("umount", "--lazy", MOUNTPOINT, check=False)
        machine.run("systemctl", "stop", unit, check=False)
        machine.run("systemctl", "reset-failed", unit, check=False)


def is_active(machine, unit):
    return machine.run("systemctl", "is-active", "-q", unit, check=False).returncode == 0


def instances(machine):
    listed = machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "fsvc-*.service").stdout
    return [line.split()[0] for line in listed.splitlines()]


@contextlib.contextmanager
def contained(machine, subtype, source, *options):
    """The filesystem mounted through the service; in the end the service has ended too."""
    done = machine.run("fuservicemount3", source, MOUNTPOINT, "-t", subtype, *options, check=False)
    assert done.returncode == 0, done.stderr + log(machine, subtype)
    try:
        yield
        machine.run("umount", MOUNTPOINT)
    finally:
        machine.run("umount", "--lazy", MOUNTPOINT, check=False)
        waiting.wait_for(lambda: not instances(machine), 60, "the service's end")


def log(machine, subtype):
    """The services' own words."""
    machine.run("journalctl", "--sync")
    return machine.run("journalctl", "-u", f"fsvc-*{subtype}@*", "-o", "cat").stdout


@contextlib.contextmanager
def loop_device(machine, image):
    """A block device on an image, for root alone."""
    device = machine.loop(image)
    try:
        machine.run("chmod", "600", device)
        yield device
    finally:
        loop_devices.detach(device)
        machine.loops.remove(device)
