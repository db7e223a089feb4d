# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian releases as root directories, which are unpacked once: to boot, to enter, and to use as lower layer of an
overlay.

    root = unpacked("bookworm", ("systemd", "dbus", "fuse3"))
    with Machine(root=root) as machine: ...                        # writes nothing into it
    subprocess.run([*entered(root), "--volatile=overlay", "--", "cat", "/etc/debian_version"])

They are in $FSVC_RELEASES_CACHE (default: /var/tmp/fsvc-releases): for each release the minimal system and the
downloaded packages, and for each set of packages a root directory. Complete root directories are never written to.
The cache can be removed while no test runs; newer packages are downloaded then. Processes exit together with their
caller.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

from .run_id import RUN_ID

MINUTE_S = 60
TIMEOUT_S = 20 * MINUTE_S
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

# apt resolves virtual packages and conflicts, debootstrap does not. The mirror may be some weeks old. Downloaded packages
# are kept for other sets of packages. From another release, only the named packages are installed.
INSTALL = """
pin() { printf 'Package: %s\\nPin: release n=%s\\nPin-Priority: %d\\n\\n' "$@" >>/etc/apt/preferences; }
for package; do
    name=${package%/*} other=${package##*/}
    [ "$name" != "$package" ] || continue
    sed "s/^\\(deb [^ ]*\\) [^ ]*/\\1 $other/" /etc/apt/sources.list >"/etc/apt/sources.list.d/$other.list"
    pin "$name" "$other" 990
    pin '*' "$other" -1
done
apt-get -q -o Acquire::Check-Valid-Until=false update
apt-get -qy -o APT::Keep-Downloaded-Packages=true --no-install-recommends install "$@"
"""
NO_MIRROR = ("Failed getting release file", "Couldn't download", "Invalid Release file", "Failed to fetch")


class Unavailable(Exception):
    """The release is not available, which is not a failure of the tests."""


def cache():
    """Return the directory of the cache. Only root may write to it, as root runs programs in it."""
    path = Path(os.environ.get("FSVC_RELEASES_CACHE") or "/var/tmp/fsvc-releases")
    path.mkdir(parents=True, exist_ok=True)
    status = path.stat()
    if status.st_uid != 0 or status.st_mode & 0o022:
        raise RuntimeError(f"{path}: not only writable by root")
    return path


def unpacked(release, packages=()):
    """Return a root directory of the release with these packages and their dependencies.

    A package NAME/RELEASE is installed from that other release.
    """
    folder = cache()
    base, debs = folder / f"{release}.base", folder / f"{release}.debs"
    with locked(folder / f"{release}.lock"):
        if not is_complete(base):
            debs.mkdir(exist_ok=True)
            bootstrap(release, base, debs)
        if not packages:
            return base
        root = folder / f"{release}.{name_of(packages)}"
        if not is_complete(root):
            install(release, base, root, debs, packages)
        return root


def entered(root):
    """Return the command that enters ROOT. Options of nspawn, "--" and a command must follow.

    Without a service manager, nspawn uses a temporary /run.
    """
    private = '[ -d /run/systemd/system ] || mount -t tmpfs run /run; exec systemd-nspawn "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", private, "sh",
            "--quiet", "--register=no", "--keep-unit", "--as-pid2", f"--directory={root}",
            f"--machine=fsvc-{root.name.replace('.', '-')}-{RUN_ID}", "--setenv=LANG=C.UTF-8"]


def die_with_parent():
    """For preexec_fn: send SIGTERM to the process when its parent exits."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


@contextlib.contextmanager
def locked(path):
    """Hold a lock, so that concurrent runs do not unpack or remove the same directory."""
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def name_of(packages):
    return hashlib.sha256("\n".join(sorted(packages)).encode()).hexdigest()[:12]


def stamp_of(root):
    """Return the path of the file that marks ROOT as complete."""
    return root.with_name(f"{root.name}.complete")


def is_complete(root):
    return stamp_of(root).exists()


def bootstrap(release, base, debs):
    """Unpack the minimal system of a release."""
    if not shutil.which("debootstrap"):
        raise Unavailable("debootstrap is not installed")
    shutil.rmtree(base, ignore_errors=True)
    # debootstrap mounts filesystems in the directory. Namespaces remove them, and end its processes.
    log = base.with_name(f"{release}.log")
    log.unlink(missing_ok=True)
    run(log, "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc",
        "debootstrap", "--variant=minbase", f"--cache-dir={debs}", release, base)
    (base / "var/cache/apt/archives").mkdir(parents=True, exist_ok=True)
    stamp_of(base).touch()


def install(release, base, root, debs, packages):
    """Copy BASE to ROOT, and install PACKAGES in it."""
    log = root.with_name(f"{root.name}.log")
    log.unlink(missing_ok=True)
    shutil.rmtree(root, ignore_errors=True)
    run(log, "cp", "--archive", "--reflink=auto", base, root)
    run(log, *entered(root), "--setenv=DEBIAN_FRONTEND=noninteractive", f"--bind={debs}:/var/cache/apt/archives", "--",
        "sh", "-ec", INSTALL, "sh", *packages)
    stamp_of(root).write_text("\n".join(packages) + "\n")


def run(log, *command):
    """Run a command that writes to LOG."""
    kept = ("http_proxy", "https_proxy", "no_proxy")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment.update(PATH=PATH, DEBIAN_FRONTEND="noninteractive")
    with open(log, "a") as file:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                              env=environment, timeout=TIMEOUT_S, preexec_fn=die_with_parent)
    if done.returncode == 0:
        return
    lines = log.read_text(errors="replace").splitlines()
    for line in lines:
        if any(sign in line for sign in NO_MIRROR):
            raise Unavailable(f"no mirror can be reached: {line}")
    raise RuntimeError("\n".join([f"cannot unpack, see {log}:", *lines[-20:]]))
