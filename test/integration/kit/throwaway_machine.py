# SPDX-License-Identifier: LGPL-2.1-or-later
"""A throwaway machine with systemd.

The system of the host is the lower layer of an overlay with a tmpfs as upper layer. systemd-nspawn boots it to
basic.target: with sockets and the journal, but without timers and other enabled units. Everything is in the mount
namespace of nspawn, so that the kernel removes all mounts when nspawn exits. The host is not changed.

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

# Runs in the new mount namespace. $1 is the name of the machine, $2 the directory of its system. Other arguments up to "--"
# are directories to overlay, and the rest are arguments of nspawn.
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
# a killed nspawn leaves directories in these two
mount -t tmpfs tmp /tmp
[ -d /run/systemd/system ] || mount -t tmpfs run /run
# With an empty machine-id, systemd enables all units at the first boot. The journal needs its own.
systemd-id128 new > /mnt/root/etc/machine-id
# mounts of the host are not for the machine
: > /mnt/root/etc/fstab
# systemd-tmpfiles would empty /tmp, which may contain the sources
mkdir -p /mnt/root/etc/tmpfiles.d
ln -sf /dev/null /mnt/root/etc/tmpfiles.d/tmp.conf
[ -z "$PREPARE" ] || chroot /mnt/root sh -ec "$PREPARE"
exec systemd-nspawn --directory=/mnt/root --machine="$name" "$@"
"""

# Enabled units are wanted by multi-user.target, which is not started. Units of basic.target that are not needed are masked.
# Entries of fstab are mounted.
BOOT = ("--boot", "systemd.unit=basic.target", "systemd.mask=timers.target", "systemd.mask=tmp.mount",
        "systemd.mask=systemd-modules-load.service",  # modules belong to the host
        "systemd.wants=remote-fs.target",
        "systemd.status_unit_format=name")  # other names of units differ between versions


class Failed(subprocess.CalledProcessError):
    """A command has failed. Contains its output."""

    def __str__(self):
        return f'{super().__str__()}\n{self.stdout or ""}{self.stderr or ""}'


class Machine:
    """A machine that boots on entry of the context, and is removed on exit."""

    def __init__(self, root=None, layers=(REPO,), prepare=""):
        """Boot ROOT (default: $FSVC_MACHINE_ROOT, or the host). PREPARE is a shell script to run in the system before
        it boots."""
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
            notify.bind("")  # the kernel chooses an abstract name
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
            options.append("--keep-unit")  # there is no service manager that can create a scope
        return options

    def nspawn_environment(self, notify):
        # Since version 258, systemd requires cgroup v2. A tmpfs on /tmp could hide the sources.
        return {"PATH": PATH, "PREPARE": self.prepare, "NOTIFY_SOCKET": "@" + notify.getsockname()[1:].decode(),
                "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_TMPFS_TMP": "0"}

    def make_cgroups(self):
        """Create cgroups if there is no service manager: nspawn would use the cgroup of its caller, also for other
        machines."""
        if os.path.isdir("/run/systemd/system"):
            return
        for top in HIERARCHIES:
            if os.path.exists(f"{top}/cgroup.procs"):
                self.cgroups.append(Path(top, self.name))
                self.cgroups[-1].mkdir()

    def before_exec(self):
        for cgroup in self.cgroups:
            (cgroup / "cgroup.procs").write_text("0")
        # stop the machine if the tests are killed
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)

    def wait_until_ready(self, notify):
        """Read the messages of nspawn: the pid of the leader, and READY=1 after the boot."""
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
        """Return the output on the console."""
        self.console.seek(0)
        return self.console.read().decode(errors="replace")

    def command(self, *cmd):
        """Return the command line that runs CMD in the machine."""
        return ["nsenter", "--target", str(self.leader), "--all", "--", *map(str, cmd)]

    def run(self, *cmd, check=True, input=None, env=None, timeout=120):
        try:
            done = subprocess.run(
                self.command(*cmd), input=input or "", text=True, capture_output=True, timeout=timeout,
                env={"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **(env or {})})
        except subprocess.TimeoutExpired:
            self.halt()  # otherwise a process that waits for a hanging filesystem would not end
            raise
        if check and done.returncode:
            raise Failed(done.returncode, cmd, done.stdout, done.stderr)
        return done

    def path(self, path):
        """Return the path on the host of a path in the machine."""
        return Path(f"/proc/{self.leader}/root{path}")

    def loop(self, file):
        """Attach FILE, a path in the machine, to a loop device that exists on the host and in the machine."""
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
        """Shut down, and kill the machine if that takes too long."""
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
        """Kill the first process of the machine, with which all others end, and nspawn."""
        if self.nspawn.poll() is None and self.leader:
            os.kill(self.leader, signal.SIGKILL)
        self.nspawn.kill()  # no effect if it has exited
        self.nspawn.wait()
        self.nspawn = None

    def remove_cgroups(self):
        """Remove the cgroups after the killed processes have exited."""
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
    """Remove cgroups of machines whose test process was killed."""
    for top in HIERARCHIES:
        for cgroup in glob.glob(f"{top}/fsvc-{run}-*"):
            with contextlib.suppress(OSError):
                remove_tree(cgroup)
