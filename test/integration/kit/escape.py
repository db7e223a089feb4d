# SPDX-License-Identifier: LGPL-2.1-or-later
"""A place to escape from, and to: a hostile server in the shipped sandboxes, in a machine that has something to lose.

The hostile server is test/servers/hostile.c. It tries all it knows in each sandbox, that which systemd makes of the
units and that of fsvc-listen, and, to see that its attempts are real, as root outside of any.
"""

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

from .machine import REPO, Machine
from .programs import BUILD, PATIENCE, SERVERS, family, wait_for

HOSTILE, HOSTILE_NAMES = SERVERS / "hostile", SERVERS / "hostile.names"
PLACE = "/usr/local/lib/hostile"  # where it can be run inside: a program is all that a service sees of the disk
UNITS = "/etc/systemd/system"
IMAGE, MOUNTPOINT = "/images/hostile.img", "/images/mnt"
OTHER, NEIGHBOURS = "/images/other", "/images/neighbour"  # where two mounts are that are not the attacker's

# Where fsvc-listen writes what services say, and its limit of memory, which no other program has to notice.
LISTENER_LOG, LISTENER_MEMORY = "/run/fsvc-listen.log", 64 << 20

# The unit files of an administrator: nothing in them speaks of a sandbox.
SOCKET = "[Socket]\nListenSequentialPacket=/run/filesystems/hostile\n"
SERVICE = f"[Service]\nExecStart=/usr/bin/fsvc-open -- {PLACE}\n"

# Secrets, an image that others may write, one that they may not even read, and a set-user-ID program.
FURNISH = f"""
mkdir -p /home/user /images/tree {MOUNTPOINT} {OTHER} {NEIGHBOURS} /fsvc/mountpoint
echo secret | tee /root/secret /home/user/secret /run/machine-secret /images/other.img >/images/tree/small
chmod 600 /images/other.img
cp /usr/bin/true {IMAGE} && chmod 666 {IMAGE} && cp {IMAGE} {NEIGHBOURS}.img
mksquashfs /images/tree /images/tree.img -quiet -no-progress && chmod 600 /images/tree.img
chmod 755 {PLACE} && cp {PLACE} {PLACE}-set-user-id && chmod 4755 {PLACE}-set-user-id
[ -c /dev/kmsg ] || mknod /dev/kmsg c 1 11
systemctl daemon-reload && systemctl start fsvc-squashfs.socket
"""

# Somebody else in the machine, with what can be reached without a file's name.
BYSTANDER = """if True:
    import ctypes, os, socket, sys
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.shmget(0x66737663, 4096, 0o1666) >= 0
    assert ctypes.CDLL("librt.so.1", use_errno=True).mq_open(b"/hostile-test", os.O_RDWR | os.O_CREAT, 0o666, None) >= 0
    door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    door.bind(b"\\0hostile-test")
    print("ready", flush=True)
    sys.stdin.read()"""

# Why an attempt fails outside as it does inside: what it wants is in no reach of anybody here.
NOWHERE = {
    "a socket of AF_ALG": "this kernel has none",
    "a socket of AF_BLUETOOTH": "this kernel has none",
    "survive others when memory runs out": "root in a container may lack CAP_SYS_RESOURCE",
}


# Where the kernel of a system that uses cgroups of version 1 keeps the limits that systemd has set, were it in charge.
LIMITS_BY_HAND = {"pids": "pids.max", "memory": "memory.limit_in_bytes"}


@contextlib.contextmanager
def cgroups_by_hand(**limits):
    """Directories to put a process into, with what limits them."""
    places = {Path("/sys/fs/cgroup", controller, f"fsvc-{os.getpid()}"): limit for controller, limit in limits.items()}
    try:
        for place, limit in places.items():
            place.mkdir()
            (place / LIMITS_BY_HAND[place.parent.name]).write_text(str(limit))
        yield places
    finally:
        for place in places:
            wait_for(lambda: not (place / "cgroup.procs").read_text(), what="an empty cgroup")
            place.rmdir()


class Row(NamedTuple):
    """An attempt: how it ended in a sandbox, and as root outside."""

    name: str
    inside: str
    outside: str

    @property
    def refused(self):
        return self.inside not in ("done", "missing")

    @property
    def real(self):
        """Whether it could have told a sandbox from none."""
        return self.outside not in (self.inside, "missing") or self.name in NOWHERE

    def verdict(self):
        if not self.refused:
            return "ESCAPED"
        if self.name in NOWHERE:
            return f"refused ({NOWHERE[self.name]})"
        return "refused" if self.real else "PROVES NOTHING"


def names():
    """What the hostile server tries; nothing where it is not built."""
    return HOSTILE_NAMES.read_text().splitlines() if HOSTILE_NAMES.exists() else []


def outcomes(text):
    return {name: in_words(outcome) for name, outcome in (line.split("\t") for line in text.splitlines() if "\t" in line)}


def in_words(outcome):
    """The name of an error or a signal, which the hostile server, built with any C library, gives as a number."""
    kind, _, number = outcome.partition(" ")
    if kind == "error":
        return errno.errorcode[int(number)]
    return signal.Signals(int(number)).name if kind == "signal" else outcome


def show(tables):
    """The rows of each manager side by side, for people; for a program where an environment variable names a file."""
    columns = "".join(f"{manager:13} " for manager in tables)
    lines = [f"{'attempt':46} {columns}{'as root outside':16} verdict"]
    for row, *others in zip(*tables.values()):
        answers = "".join(f"{each.inside:13} " for each in (row, *others))
        verdicts = sorted({each.verdict() for each in (row, *others)})
        lines.append(f"{row.name:46} {answers}{row.outside:16} {', '.join(verdicts)}")
    print("\n".join(lines))
    if path := os.environ.get("FSVC_ESCAPE_TABLE"):
        with open(path, "w") as file:
            json.dump({manager: [row._asdict() | {"verdict": row.verdict()} for row in rows]
                       for manager, rows in tables.items()}, file, indent=1)


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


class Arena(Machine):
    """The machine, with fsvc as a package would install it, and with two mounts that are none of the attacker's."""

    def __init__(self):
        super().__init__(layers=(REPO, BUILD))
        self.bystander = None
        self.managers = {name: kind(self) for name, kind in MANAGERS.items()}

    def nspawn_options(self):
        """nspawn has a filter of system calls of its own: what is refused here is to be the service's doing."""
        return [*super().nspawn_options(), "--system-call-filter=@known"]

    def start(self):
        super().start()
        self.run("meson", "install", "--no-rebuild", "-C", BUILD)
        self.path(PLACE).write_bytes(HOSTILE.read_bytes())
        self.run("sh", "-ec", FURNISH)
        for manager in self.managers.values():
            manager.start()
        self.bystander = subprocess.Popen(self.command("/usr/bin/python3", "-c", BYSTANDER), text=True,
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.bystander.stdout.readline() == "ready\n"
        self.run("fuservicemount3", "/images/tree.img", OTHER, "-t", "squashfs")

    def stop(self):
        if self.bystander:
            self.bystander.communicate()
            self.bystander = None
        super().stop()

    def mount_hostile_within(self, cgroups, manager, *options):
        """The server is limited before it begins: exit code, and what the helper said."""
        helper = subprocess.Popen(self.command("fuservicemount3", IMAGE, MOUNTPOINT, "-t", manager.type, "-o",
                                               ",".join(["delay", *options])), text=True, stderr=subprocess.PIPE)
        for pid in wait_for(self.hostile_pids, what="the server"):
            for place in cgroups:
                (place / "cgroup.procs").write_text(str(pid))
        return helper.wait(60), helper.stderr.read()

    def hostile_pids(self):
        """As seen from here."""
        found = []
        for pid in family(self.leader):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text() == "hostile\n":
                    found.append(pid)
        return found

    def the_pid_of(self, name):
        return self.run("pgrep", "-x", name).stdout.strip()

    def try_outside(self, *options):
        """The same as root; mounts and names are in namespaces of their own, and a shell is the parent to aim at."""
        return outcomes(self.run("unshare", "--mount", "--uts", "--propagation", "private", "sh", "-c",
                                 f"{PLACE} {IMAGE} {MOUNTPOINT} -o {','.join(options)}; exit 0").stdout)

    def try_all(self, manager):
        """As rows, from a mount that is read-only; and what succeeds where it is writable."""
        with manager.neighbour() as neighbour:
            aims = f"victim={self.the_pid_of('squashfuse')}", f"neighbour={neighbour}"
            inside, writable = manager.try_inside("ro", *aims), manager.try_inside(*aims)
            outside = self.try_outside(*aims)
        rows = [Row(name, inside.get(name, "missing"), outside.get(name, "missing")) for name in names()]
        return rows, [name for name in names() if writable.get(name, "done") == "done"]
