# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian releases, unpacked once and kept: roots to boot, to enter, and to lay over.

    root = unpacked("bookworm", ("systemd", "dbus", "fuse3"))
    with Machine(root=root) as machine: ...                        # writes nothing into it
    subprocess.run([*entered(root), "--volatile=overlay", "--", "cat", "/etc/debian_version"])

They lie below $FSVC_RELEASES_CACHE (/var/tmp/fsvc-releases): for each release its smallest system and the packages that
were fetched, and for each set of packages a system of its own.  Nobody writes into one that is complete: removing the
folder is always safe while no test runs, and brings newer packages.  Whatever is started here ends with its caller.
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

MINUTES = 60
PATIENCE = 20 * MINUTES
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

# apt knows of virtual packages and conflicts, debootstrap does not. A mirror may be a copy of some weeks ago, and what
# was fetched for one set of packages is there for the next. Of another release comes nothing but what is asked for.
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
    """Why a release cannot be had here: nothing is wrong with what was to be tested."""


def cache():
    """The folder, which others than root may not write to: what lies in there is run by root."""
    path = Path(os.environ.get("FSVC_RELEASES_CACHE") or "/var/tmp/fsvc-releases")
    path.mkdir(parents=True, exist_ok=True)
    status = path.stat()
    if status.st_uid != 0 or status.st_mode & 0o022:
        raise RuntimeError(f"{path} can be written by others than root")
    return path


def unpacked(release, packages=()):
    """The root of a system of that release with these packages and what they need, complete.

    A package written as NAME/RELEASE is taken of that other release.
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
    """The command that enters ROOT, to be followed by nspawn's own options, "--" and a command.

    Where there is no service manager, nspawn would leave its traces in /run.
    """
    private = '[ -d /run/systemd/system ] || mount -t tmpfs run /run; exec systemd-nspawn "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", private, "sh",
            "--quiet", "--register=no", "--keep-unit", "--as-pid2", f"--directory={root}",
            f"--machine=fsvc-{root.name.replace('.', '-')}-{RUN_ID}", "--setenv=LANG=C.UTF-8"]


def die_with_parent():
    """A preexec_fn."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


@contextlib.contextmanager
def locked(path):
    """Two runs at a time do not unpack the same release, nor does one take it away from the other."""
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def name_of(packages):
    return hashlib.sha256("\n".join(sorted(packages)).encode()).hexdigest()[:12]


def stamp_of(root):
    """The file beside a root that says that it is complete."""
    return root.with_name(f"{root.name}.complete")


def is_complete(root):
    return stamp_of(root).exists()


def bootstrap(release, base, debs):
    """The smallest system of a release."""
    if not shutil.which("debootstrap"):
        raise Unavailable("debootstrap is not installed")
    shutil.rmtree(base, ignore_errors=True)
    # It mounts in there: in namespaces of its own, what it mounts and what it starts ends with it.
    log = base.with_name(f"{release}.log")
    log.unlink(missing_ok=True)
    run(log, "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc",
        "debootstrap", "--variant=minbase", f"--cache-dir={debs}", release, base)
    (base / "var/cache/apt/archives").mkdir(parents=True, exist_ok=True)
    stamp_of(base).touch()


def install(release, base, root, debs, packages):
    """A copy of BASE with PACKAGES in it."""
    log = root.with_name(f"{root.name}.log")
    log.unlink(missing_ok=True)
    shutil.rmtree(root, ignore_errors=True)
    run(log, "cp", "--archive", "--reflink=auto", base, root)
    run(log, *entered(root), "--setenv=DEBIAN_FRONTEND=noninteractive", f"--bind={debs}:/var/cache/apt/archives", "--",
        "sh", "-ec", INSTALL, "sh", *packages)
    stamp_of(root).write_text("\n".join(packages) + "\n")


def run(log, *command):
    """Runs what unpacks; the log is what to read when it fails."""
    kept = ("http_proxy", "https_proxy", "no_proxy")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment.update(PATH=PATH, DEBIAN_FRONTEND="noninteractive")
    with open(log, "a") as file:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                              env=environment, timeout=PATIENCE, preexec_fn=die_with_parent)
    if done.returncode == 0:
        return
    lines = log.read_text(errors="replace").splitlines()
    for line in lines:
        if any(sign in line for sign in NO_MIRROR):
            raise Unavailable(f"no mirror can be reached: {line}")
    raise RuntimeError("\n".join([f"cannot unpack, see {log}:", *lines[-20:]]))
