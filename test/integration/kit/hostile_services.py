# SPDX-License-Identifier: LGPL-2.1-or-later
"""Services that run the hostile server: by a systemd unit, and by fsvc-listen."""

import contextlib
import re
import signal

from .escape_attempts import outcomes
from .waiting import PATIENCE, wait_for

PLACE = "/usr/local/lib/hostile"  # where it can be run inside: a program is all that a service sees of the disk
UNITS = "/etc/systemd/system"
IMAGE, MOUNTPOINT = "/images/hostile.img", "/images/mnt"
OTHER, NEIGHBOURS = "/images/other", "/images/neighbour"  # where two mounts are that are not the attacker's

# Where fsvc-listen writes what services say, and its limit of memory, which no other program has to notice.
LISTENER_LOG, LISTENER_MEMORY = "/run/fsvc-listen.log", 64 << 20

# The unit files of an administrator: nothing in them speaks of a sandbox.
SOCKET = "[Socket]\nListenSequentialPacket=/run/filesystems/hostile\n"
SERVICE = f"[Service]\nExecStart=/usr/bin/fsvc-open -- {PLACE}\n"


class Manager:
    """Who starts and contains the hostile server: its services of one type, in a machine."""

    type = "hostile"

    def __init__(self, machine):
        self.machine = machine

    def start(self):
        """From here on the type can be mounted."""

    def services(self):
        """The hostile services that there are, running or not."""
        raise NotImplementedError

    def end_services(self):
        raise NotImplementedError

    def said(self):
        """What all hostile servers have said so far."""
        raise NotImplementedError

    def mount(self, *options, source=IMAGE, on=MOUNTPOINT, check=False):
        return self.machine.run("fuservicemount3", source, on, "-t", self.type, "-o", ",".join(options), check=check)

    def wait_for_end(self, patience=PATIENCE, others=()):
        """Until no service but the others is left: then all is said."""
        wait_for(lambda: set(self.services()) <= set(others), patience, "the end of the hostile services")

    @contextlib.contextmanager
    def neighbour(self):
        """The server of another mount of the same type, and its pid."""
        self.mount("habit=outlive", source=f"{NEIGHBOURS}.img", on=NEIGHBOURS, check=True)
        pid = self.machine.the_pid_of("hostile")
        try:
            yield pid
        finally:
            self.machine.run("umount", "--lazy", NEIGHBOURS)
            self.end_services()

    def try_inside(self, *options):
        """How each attempt ends in the sandbox."""
        before, others = len(self.said()), self.services()
        self.mount(*options)
        self.wait_for_end(others=others)
        return outcomes(self.said()[before:])


class Systemd(Manager):
    """By units of five lines that an administrator wrote."""

    def start(self):
        self.machine.path(f"{UNITS}/fsvc-hostile.socket").write_text(SOCKET)
        self.machine.path(f"{UNITS}/fsvc-hostile@.service").write_text(SERVICE)
        self.machine.run("systemctl", "daemon-reload")
        self.machine.run("systemctl", "start", "fsvc-hostile.socket")

    def services(self):
        listed = self.machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "fsvc-hostile@*").stdout
        return [line.split()[0] for line in listed.splitlines()]

    def end_services(self):
        for unit in self.services():
            self.machine.run("systemctl", "kill", "--signal=KILL", unit, check=False)
        self.wait_for_end()

    def said(self):
        self.machine.run("journalctl", "--sync")
        return self.machine.run("journalctl", "-u", "fsvc-hostile@*", "-o", "cat").stdout


class Listen(Manager):
    """By fsvc-listen, in the same machine."""

    type = "listened"
    listener = None

    def start(self):
        self.machine.run("sh", "-ec", f"fsvc-listen --allow-missing=cgroup --as-itself --memory={LISTENER_MEMORY}"
                         f" {self.type} -- {PLACE} >{LISTENER_LOG} 2>&1 & echo $! >/run/fsvc-listen.pid")
        wait_for(lambda: self.machine.path(f"/run/filesystems/{self.type}").exists(), what="the listener")
        self.listener = self.machine.path("/run/fsvc-listen.pid").read_text().strip()

    def services(self):
        return self.machine.run("pgrep", "--parent", self.listener, check=False).stdout.split()

    def end_services(self):
        for pid in self.services():
            self.machine.run("kill", f"-{signal.SIGKILL}", pid, check=False)
        self.wait_for_end()

    def said(self):
        """Each line without the name before it; a tab is no character for a terminal."""
        wait_for(self.listener_waits, what="what the listener has to say")
        text = self.machine.path(LISTENER_LOG).read_text()
        return re.sub(r"^fsvc-listen: \S+: ", "", text, flags=re.M).replace(r"\x09", "\t")

    def listener_waits(self):
        """And so has told the last of who has ended."""
        return self.machine.path(f"/proc/{self.listener}/stat").read_text().rpartition(") ")[2][0] == "S"


MANAGERS = {"systemd": Systemd, "fsvc-listen": Listen}
