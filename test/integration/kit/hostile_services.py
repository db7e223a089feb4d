# SPDX-License-Identifier: LGPL-2.1-or-later
"""Services that run the hostile server: by a systemd unit, and by fsvc-listen."""

import contextlib
import re
import signal

from .escape_attempts import outcomes
from .waiting import TIMEOUT_S, wait_for

PROGRAM = "/usr/local/lib/hostile"  # services can only access programs
UNITS = "/etc/systemd/system"
IMAGE, MOUNTPOINT = "/images/hostile.img", "/images/mnt"
OTHER, NEIGHBOURS = "/images/other", "/images/neighbour"  # mount points of other mounts

# The log of fsvc-listen, and its memory limit, which is low so that other programs are not affected.
LISTENER_LOG, LISTENER_MEMORY = "/run/fsvc-listen.log", 64 << 20

# Unit files of an administrator, which do not configure a sandbox.
SOCKET = "[Socket]\nListenSequentialPacket=/run/filesystems/hostile\n"
SERVICE = f"[Service]\nExecStart=/usr/bin/fsvc-open -- {PROGRAM}\n"


class Manager:
    """The service manager for the hostile server."""

    type = "hostile"

    def __init__(self, machine):
        self.machine = machine

    def start(self):
        """Start the service manager."""

    def services(self):
        """Return the services of the hostile server, also inactive ones."""
        raise NotImplementedError

    def end_services(self):
        raise NotImplementedError

    def messages(self):
        """Return all messages of the hostile servers."""
        raise NotImplementedError

    def mount(self, *options, source=IMAGE, on=MOUNTPOINT, check=False):
        return self.machine.run("fuservicemount3", source, on, "-t", self.type, "-o", ",".join(options), check=check)

    def wait_for_end(self, timeout_s=TIMEOUT_S, others=()):
        """Wait until only the OTHERS are left."""
        wait_for(lambda: set(self.services()) <= set(others), timeout_s, "the end of the hostile services")

    @contextlib.contextmanager
    def neighbour(self):
        """Mount the hostile server a second time. Yield its pid."""
        self.mount("misuse=outlive", source=f"{NEIGHBOURS}.img", on=NEIGHBOURS, check=True)
        pid = self.machine.pid_of("hostile")
        try:
            yield pid
        finally:
            self.machine.run("umount", "--lazy", NEIGHBOURS)
            self.end_services()

    def try_inside(self, *options):
        """Run the attempts in the sandbox. Return their results."""
        before, others = len(self.messages()), self.services()
        self.mount(*options)
        self.wait_for_end(others=others)
        return outcomes(self.messages()[before:])


class Systemd(Manager):
    """Units of an administrator, with five lines."""

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

    def messages(self):
        self.machine.run("journalctl", "--sync")
        return self.machine.run("journalctl", "-u", "fsvc-hostile@*", "-o", "cat").stdout


class Listen(Manager):
    """fsvc-listen in the same machine."""

    type = "listened"
    listener = None

    def start(self):
        self.machine.run("sh", "-ec", f"fsvc-listen --allow-missing=cgroup --as-itself --memory={LISTENER_MEMORY}"
                         f" {self.type} -- {PROGRAM} >{LISTENER_LOG} 2>&1 & echo $! >/run/fsvc-listen.pid")
        wait_for(lambda: self.machine.path(f"/run/filesystems/{self.type}").exists(), what="the listener")
        self.listener = self.machine.path("/run/fsvc-listen.pid").read_text().strip()

    def services(self):
        return self.machine.run("pgrep", "--parent", self.listener, check=False).stdout.split()

    def end_services(self):
        for pid in self.services():
            self.machine.run("kill", f"-{signal.SIGKILL}", pid, check=False)
        self.wait_for_end()

    def messages(self):
        """Remove the prefix of each line, and decode escaped tabs."""
        wait_for(self.listener_is_idle, what="the messages of the listener")
        text = self.machine.path(LISTENER_LOG).read_text()
        return re.sub(r"^fsvc-listen: \S+: ", "", text, flags=re.M).replace(r"\x09", "\t")

    def listener_is_idle(self):
        """Return true if the listener sleeps: it has then logged the end of all services."""
        return self.machine.path(f"/proc/{self.listener}/stat").read_text().rpartition(") ")[2][0] == "S"


MANAGERS = {"systemd": Systemd, "fsvc-listen": Listen}
