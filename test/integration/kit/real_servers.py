# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mount images with real servers in a throwaway machine, as a service and as root without a sandbox."""

import contextlib
import re
import shlex

from . import loop_devices
from . import waiting

UNITS = "/usr/lib/systemd/system"
MOUNTPOINT = "/images/mnt"
SANDBOX_DIRECTORY = "/fsvc"  # without a sandbox, the server uses the same paths as in the sandbox


def command(machine, server):
    """Return the options of fsvc-open, and the command line of the server."""
    unit = machine.run("systemctl", "cat", f"fsvc-{server.type}@.service").stdout
    own, _, line = re.findall(r"^ExecStart=\S+ (.*)$", unit, re.M)[-1].partition("-- ")
    return shlex.split(own), shlex.split(line)


def package(machine, server):
    own, _ = command(machine, server)
    return server.package or next(word.partition("=")[2] for word in own if word.startswith("--package="))


def direct_command(machine, server, source):
    """Return the command line for running the server as root without a sandbox."""
    own, arguments = command(machine, server)
    names = {"{source}": source, "{mountpoint}": MOUNTPOINT, "{uid}": "0"}
    line = arguments
    for name, value in names.items():
        line = [argument.replace(name, value) for argument in line]
    if not any("{source}" in argument for argument in arguments):
        line += [source, MOUNTPOINT]
    before_options = next((word.partition("=")[2] for word in own if word.startswith("--options=")), "-o")
    return line if before_options == "none" or "--read-only" not in own else [*line, before_options, "ro"]


def is_mounted(machine):
    return machine.run("mountpoint", "-q", MOUNTPOINT, check=False).returncode == 0


@contextlib.contextmanager
def without_sandbox(machine, server, source):
    """Mount with a server that root has started without a sandbox."""
    unit = "without-sandbox.service"
    machine.run("systemd-run", "--quiet", "--unit", unit, "--property=ExitType=cgroup", "--setenv=LANG=C.UTF-8",
                *direct_command(machine, server, source))
    try:
        waiting.wait_for(lambda: is_mounted(machine) or not is_active(machine, unit), 20, "the mount without sandbox")
        assert is_mounted(machine), machine.run("journalctl", "-u", unit, "-o", "cat").stdout
        yield
        machine.run("umount", MOUNTPOINT)
        waiting.wait_for(lambda: not is_active(machine, unit), 30, "the end of the server")
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
    """Mount through the service, and wait for the end of the service."""
    done = machine.run("fuservicemount3", source, MOUNTPOINT, "-t", subtype, *options, check=False)
    assert done.returncode == 0, done.stderr + log(machine, subtype)
    try:
        yield
        machine.run("umount", MOUNTPOINT)
    finally:
        machine.run("umount", "--lazy", MOUNTPOINT, check=False)
        waiting.wait_for(lambda: not instances(machine), 60, "the end of the service")


def log(machine, subtype):
    """Return the messages of the services."""
    machine.run("journalctl", "--sync")
    return machine.run("journalctl", "-u", f"fsvc-*{subtype}@*", "-o", "cat").stdout


@contextlib.contextmanager
def loop_device(machine, image):
    """Yield a block device for an image, which only root can access."""
    device = machine.loop(image)
    try:
        machine.run("chmod", "600", device)
        yield device
    finally:
        loop_devices.detach(device)
        machine.loops.remove(device)
