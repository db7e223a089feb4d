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
from .hostile_services import IMAGE, MANAGERS, MOUNTPOINT, NEIGHBOURS, OTHER, PROGRAM
from .processes import process_tree
from .run_id import RUN_ID
from .throwaway_machine import REPO, Machine
from .waiting import wait_for

# Secrets, a writable image, an image that only root can read, and a set-user-ID program.
PREPARE = f"""
mkdir -p /home/user /images/tree {MOUNTPOINT} {OTHER} {NEIGHBOURS} /fsvc/mountpoint
echo secret | tee /root/secret /home/user/secret /run/machine-secret /images/other.img >/images/tree/small
chmod 600 /images/other.img
cp /usr/bin/true {IMAGE} && chmod 666 {IMAGE} && cp {IMAGE} {NEIGHBOURS}.img
mksquashfs /images/tree /images/tree.img -quiet -no-progress && chmod 600 /images/tree.img
chmod 755 {PROGRAM} && cp {PROGRAM} {PROGRAM}-set-user-id && chmod 4755 {PROGRAM}-set-user-id
[ -c /dev/kmsg ] || mknod /dev/kmsg c 1 11
systemctl daemon-reload && systemctl start fsvc-squashfs.socket
"""

# A process of another user, with IPC objects that have no path.
OTHER_PROCESS = """if True:
    import ctypes, os, socket, sys
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.shmget(0x66737663, 4096, 0o1666) >= 0
    assert ctypes.CDLL("librt.so.1", use_errno=True).mq_open(b"/hostile-test", os.O_RDWR | os.O_CREAT, 0o666, None) >= 0
    datagram_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    datagram_socket.bind(b"\\0hostile-test")
    print("ready", flush=True)
    sys.stdin.read()"""


# The files of cgroup v1 for the limits that systemd sets with cgroup v2.
CGROUP_V1_FILES = {"pids": "pids.max", "memory": "memory.limit_in_bytes"}


@contextlib.contextmanager
def limited_cgroups(**limits):
    """Yield the directories of new cgroups with these limits."""
    directories = {Path("/sys/fs/cgroup", controller, f"fsvc-{RUN_ID}"): limit for controller, limit in limits.items()}
    try:
        for directory, limit in directories.items():
            directory.mkdir()
            (directory / CGROUP_V1_FILES[directory.parent.name]).write_text(str(limit))
        yield directories
    finally:
        for directory in directories:
            wait_for(lambda: not (directory / "cgroup.procs").read_text(), what="an empty cgroup")
            directory.rmdir()


class EscapeMachine(Machine):
    """A machine with fsvc and two mounts of other users."""

    def __init__(self):
        super().__init__(layers=(REPO, BUILD))
        self.other_process = None
        self.managers = {name: kind(self) for name, kind in MANAGERS.items()}

    def nspawn_options(self):
        """Disable the seccomp filter of nspawn, so that only the service's own filter refuses system calls."""
        return [*super().nspawn_options(), "--system-call-filter=@known"]

    def start(self):
        super().start()
        self.run("meson", "install", "--no-rebuild", "-C", BUILD)
        self.path(PROGRAM).write_bytes(HOSTILE.read_bytes())
        self.run("sh", "-ec", PREPARE)
        for manager in self.managers.values():
            manager.start()
        self.other_process = subprocess.Popen(self.command("/usr/bin/python3", "-c", OTHER_PROCESS), text=True,
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.other_process.stdout.readline() == "ready\n"
        self.run("fuservicemount3", "/images/tree.img", OTHER, "-t", "squashfs")

    def stop(self):
        if self.other_process:
            self.other_process.communicate()
            self.other_process = None
        super().stop()

    def mount_hostile_within(self, cgroups, manager, *options):
        """Move the server to CGROUPS before it begins. Return the exit status and the messages of the helper."""
        helper = subprocess.Popen(self.command("fuservicemount3", IMAGE, MOUNTPOINT, "-t", manager.type, "-o",
                                               ",".join(["delay", *options])), text=True, stderr=subprocess.PIPE)
        for pid in wait_for(self.hostile_pids, what="the server"):
            for directory in cgroups:
                (directory / "cgroup.procs").write_text(str(pid))
        return helper.wait(60), helper.stderr.read()

    def hostile_pids(self):
        """Return the pids on the host of all hostile servers."""
        found = []
        for pid in process_tree(self.leader):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text() == "hostile\n":
                    found.append(pid)
        return found

    def pid_of(self, name):
        return self.run("pgrep", "-x", name).stdout.strip()

    def try_outside(self, *options):
        """Run the attempts as root in a mount and a UTS namespace, with a shell as the parent."""
        return outcomes(self.run("unshare", "--mount", "--uts", "--propagation", "private", "sh", "-c",
                                 f"{PROGRAM} {IMAGE} {MOUNTPOINT} -o {','.join(options)}; exit 0").stdout)

    def try_all(self, manager):
        """Return the results of a read-only mount and outside, and the attempts that succeed in a writable mount."""
        with manager.neighbour() as neighbour:
            targets = f"victim={self.pid_of('squashfuse')}", f"neighbour={neighbour}"
            inside, writable = manager.try_inside("ro", *targets), manager.try_inside(*targets)
            outside = self.try_outside(*targets)
        rows = [Row(name, inside.get(name, "missing"), outside.get(name, "missing")) for name in names()]
        return rows, [name for name in names() if writable.get(name, "done") == "done"]
