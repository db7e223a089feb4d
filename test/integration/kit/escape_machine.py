# SPDX-License-Identifier: LGPL-2.1-or-later
"""A throwaway machine in which a hostile server tries to escape from the shipped sandboxes.

The hostile server is test/servers/hostile.c. It makes all its attempts in the sandbox of the systemd units, in the
sandbox of fsvc-listen, and as root without a sandbox, which shows that the attempts are real.
"""

import contextlib
import subprocess
from pathlib import Path

from .build_options import BUILD
from .escape_attempts import HOSTILE, Row, names, outcomes
from .hostile_services import IMAGE, MANAGERS, MOUNTPOINT, NEIGHBOURS, OTHER, PLACE
from .processes import family
from .run_id import RUN_ID
from .throwaway_machine import REPO, Machine
from .waiting import wait_for

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


# Where the kernel of a system that uses cgroups of version 1 keeps the limits that systemd has set, were it in charge.
LIMITS_BY_HAND = {"pids": "pids.max", "memory": "memory.limit_in_bytes"}


@contextlib.contextmanager
def cgroups_by_hand(**limits):
    """Directories to put a process into, with what limits them."""
    places = {Path("/sys/fs/cgroup", controller, f"fsvc-{RUN_ID}"): limit for controller, limit in limits.items()}
    try:
        for place, limit in places.items():
            place.mkdir()
            (place / LIMITS_BY_HAND[place.parent.name]).write_text(str(limit))
        yield places
    finally:
        for place in places:
            wait_for(lambda: not (place / "cgroup.procs").read_text(), what="an empty cgroup")
            place.rmdir()


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
