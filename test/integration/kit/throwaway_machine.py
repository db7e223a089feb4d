# SPDX-License-Identifier: LGPL-2.1-or-later
"""A throwaway machine with a real systemd.

The system that runs here is the lower layer of an overlay, a tmpfs is the upper one, and systemd-nspawn boots
the result as far as basic.target: sockets and the journal, but neither timers nor whatever else this system has
enabled.  All of it lives in a mount namespace of nspawn's own, so the kernel takes every mount away when nspawn
ends, however it ends, and this system keeps no trace.

    with Machine() as machine:
        machine.run("systemctl", "start", "fsvc-squashfs.socket")

test/throwaway-machine does the same from a shell.
"""

import contextlib
import ctypes
import glob
import os
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import loop_devices
from .run_id import RUN

REPO = Path(__file__).resolve().parents[3]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BOOT_SECONDS = 60
HALT_SECONDS = 20
HIERARCHIES = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd")

# Runs in the new mount namespace: $1 is the machine's name, $2 the directory that holds its system, the rest
# are other directories to lay over it, up to "--", and then the arguments for nspawn.
SETUP = r"""
set -e
name=$1 system=$2
shift 2
layer() {
    mkdir -p "/mnt/upper$2" "/mnt/work$2.work" "/mnt/root$2"
    mount -t overlay -o "lowerdir=$1,upperdir=/mnt/upper$2,workdir=/mnt/work$2.work" machine "/mnt/root$2"
}
mount -t tmpfs machine /mnt
layer "$system" ""
while [ "$1" != -- ]; do layer "$1" "$1"; shift; done
shift
# nspawn leaves directories behind in these two when it is killed
mount -t tmpfs tmp /tmp
[ -d /run/systemd/system ] || mount -t tmpfs run /run
# An empty machine-id would make this a first boot, which enables everything; and the journal is to be its own.
systemd-id128 new > /mnt/root/etc/machine-id
# what this system mounts is not the machine's
: > /mnt/root/etc/fstab
# tmpfiles empties /tmp at boot: the sources may be there
mkdir -p /mnt/root/etc/tmpfiles.d
ln -sf /dev/null /mnt/root/etc/tmpfiles.d/tmp.conf
[ -z "$PREPARE" ] || chroot /mnt/root sh -ec "$PREPARE"
exec systemd-nspawn --directory=/mnt/root --machine="$name" "$@"
"""

# The system's own services hang on multi-user.target; what basic.target brings by itself is masked,
# and what fstab asks for is mounted as in any other system.
BOOT = ("--boot", "systemd.unit=basic.target", "systemd.mask=timers.target", "systemd.mask=tmp.mount",
        "systemd.mask=systemd-modules-load.service",  # the kernel is not the machine's
        "systemd.wants=remote-fs.target",
        "systemd.status_unit_format=name")  # what the console calls a unit differs from version to version


class Failed(subprocess.CalledProcessError):
    """A command that failed, with what it said."""

    def __str__(self):
        return f'{super().__str__()}\n{self.stdout or ""}{self.stderr or ""}'


class Machine:
    """Boots on entering, and is gone after leaving."""

    def __init__(self, root=None, layers=(REPO,), prepare=""):
        """PREPARE is for the shell, in the system that is to boot.

        Where no ROOT is given, $FSVC_MACHINE_ROOT or this system is what boots.
        """
        self.name = f"fsvc-{RUN}-{secrets.token_hex(3)}"
        self.root, self.prepare = str(root or os.environ.get("FSVC_MACHINE_ROOT") or "/"), prepare
        self.layers = [str(path) for path in layers if self.root != "/" or path.stat().st_dev != os.stat("/").st_dev]
        self.console = tempfile.TemporaryFile()
        self.nspawn = None
        self.leader = None
        self.loops = []
        self.cgroups = []

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind("")  # the kernel finds a free abstract name
            self.make_cgroups()
            self.nspawn = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", SETUP, "sh",
                 self.name, self.root, *self.layers, "--", *self.nspawn_options(), *BOOT],
                env=self.nspawn_environment(notify), preexec_fn=self.before_exec, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.STDOUT)
            self.wait_until_ready(notify)

    def nspawn_options(self):
        options = ["--quiet", "--register=no", "--private-network", "--notify-ready=yes", "--capability=all"]
        devices = "/dev/fuse", *glob.glob("/dev/autofs"), "/dev/loop-control", *glob.glob("/dev/loop[0-9]*")
        options += [f"--bind={device}" for device in devices]
        if self.cgroups:
            options.append("--keep-unit")  # there is no service manager that could make a scope
        return options

    def nspawn_environment(self, notify):
        # From version 258 on systemd does not boot without the unified hierarchy.  A tmpfs over /tmp would hide
        # sources that are there.
        return {"PATH": PATH, "PREPARE": self.prepare, "NOTIFY_SOCKET": "@" + notify.getsockname()[1:].decode(),
                "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_TMPFS_TMP": "0"}

    def make_cgroups(self):
        """Without a service manager nspawn boots in its caller's cgroup, where two machines would be one."""
        if os.path.isdir("/run/systemd/system"):
            return
        for top in HIERARCHIES:
            if os.path.exists(f"{top}/cgroup.procs"):
                self.cgroups.append(Path(top, self.name))
                self.cgroups[-1].mkdir()

    def before_exec(self):
        for cgroup in self.cgroups:
            (cgroup / "cgroup.procs").write_text("0")
        # should the tests be killed, the machine halts
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)

    def wait_until_ready(self, notify):
        """Read nspawn"s messages: first the leader"s pid, then, when it has booted, READY."""
        notify.settimeout(BOOT_SECONDS)
        try:
            ready = False
            while not ready:
                for line in notify.recv(4096).decode().splitlines():
                    if line.startswith("X_NSPAWN_LEADER_PID="):
                        self.leader = int(line.partition("=")[2])
                    ready = ready or line == "READY=1"
        except TimeoutError:
            raise RuntimeError(f"the machine did not boot:\n{self.log()}") from None

    def log(self):
        """What the machine wrote to its console."""
        self.console.seek(0)
        return self.console.read().decode(errors="replace")

    def command(self, *cmd):
        """The command line that runs CMD in the machine, for subprocess."""
        return ["nsenter", "--target", str(self.leader), "--all", "--", *map(str, cmd)]

    def run(self, *cmd, check=True, input=None, env=None, timeout=120):
        try:
            done = subprocess.run(
                self.command(*cmd), input=input or "", text=True, capture_output=True, timeout=timeout,
                env={"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **(env or {})})
        except subprocess.TimeoutExpired:
            self.halt()  # nothing else ends who waits for a filesystem whose server hangs
            raise
        if check and done.returncode:
            raise Failed(done.returncode, cmd, done.stdout, done.stderr)
        return done

    def path(self, path):
        """A path in the machine, as seen from here."""
        return Path(f"/proc/{self.leader}/root{path}")

    def loop(self, file):
        """Attach FILE, a path in the machine, to a loop device that exists in here and in there."""
        device = loop_devices.attach(self.path(file))
        self.loops.append(device)
        if self.run("test", "-b", device, check=False).returncode:
            number = os.stat(device).st_rdev
            self.run("mknod", device, "b", str(os.major(number)), str(os.minor(number)))
        return device

    def stop(self):
        try:
            self.halt()
        finally:
            while self.loops:
                loop_devices.detach(self.loops.pop())
            self.remove_cgroups()
            self.console.close()

    def halt(self):
        """Ask for an orderly shutdown, and insist."""
        if not self.nspawn:
            return
        self.nspawn.terminate()
        try:
            self.nspawn.wait(HALT_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()

    def kill(self):
        """The machine's first process outlives nspawn, and takes with it all the others."""
        if self.nspawn.poll() is None and self.leader:
            os.kill(self.leader, signal.SIGKILL)
        self.nspawn.kill()  # does nothing to one that has ended
        self.nspawn.wait()
        self.nspawn = None

    def remove_cgroups(self):
        """Killed processes are gone a little later."""
        end = time.monotonic() + HALT_SECONDS
        while self.cgroups:
            try:
                remove_tree(self.cgroups[-1])
                self.cgroups.pop()
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)


def remove_tree(cgroup):
    for directory, _, _ in os.walk(cgroup, topdown=False):
        os.rmdir(directory)


def remove_cgroups_of(run):
    """Remove what is left of machines whose test process was killed; their processes have ended with it."""
    for top in HIERARCHIES:
        for cgroup in glob.glob(f"{top}/fsvc-{run}-*"):
            with contextlib.suppress(OSError):
                remove_tree(cgroup)
