# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compare and change the files of a mounted filesystem."""

import json
import time

from .real_servers import MOUNTPOINT

# Prints the attributes and contents of all files in a directory, as JSON.
LOOK = r"""
import hashlib, json, os, stat, sys

def content(path, mode):
    if stat.S_ISLNK(mode):
        return os.readlink(path)
    if stat.S_ISREG(mode):
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

def attributes(path):
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in names}
    except OSError as error:
        return error.strerror

def look(path):
    status = os.lstat(path)
    return {"mode": oct(status.st_mode), "owner": [status.st_uid, status.st_gid], "size": status.st_size,
            "mtime": status.st_mtime_ns, "links": status.st_nlink, "device": status.st_rdev,
            "content": content(path, status.st_mode), "attributes": attributes(path)}

top = sys.argv[1]
names = [os.path.join(where, name) for where, below, files in os.walk(top) for name in below + files]
print(json.dumps({os.path.relpath(name, top): look(name) for name in [top, *names]}))
"""

# Changes files in all ways that a filesystem may support. Writing to files must be supported.
CHANGE = r"""
import contextlib, os, sys

os.chdir(sys.argv[1])
with open("deep/new", "wb") as file:
    file.write(os.urandom(1_500_000))
with open("deep/noise", "r+b") as file:
    file.seek(70_000)
    file.write(b"in the middle" * 1000)
with open("text", "a") as file:
    file.write("appended\n")
for call, *arguments in ((os.mkdir, "made"), (os.rename, "many/1", "made/one"), (os.truncate, "deep/er/numbers", 1234),
                         (os.symlink, "made/one", "made/symlink"), (os.link, "made/one", "made/hard"),
                         (os.chmod, "made", 0o710), (os.chown, "made/one", 4321, 8765), (os.mkfifo, "made/fifo"),
                         (os.setxattr, "made/one", "user.made", b"here"), (os.rmdir, "empty-directory")):
    with contextlib.suppress(OSError):
        call(*arguments)
for number in range(2, 50):
    os.unlink(f"many/{number}")
for where, below, files in os.walk("."):
    for name in files + below:
        with contextlib.suppress(OSError):
            os.utime(os.path.join(where, name), (1_300_000_000, 1_300_000_000), follow_symlinks=False)
"""


def python(machine, script, *arguments):
    return machine.run("/usr/bin/python3", "-c", script, *arguments).stdout


def look(machine):
    """Return the files of the mount, by path."""
    return json.loads(python(machine, LOOK, MOUNTPOINT))


def differences(one, other, since):
    """Return the differences between two trees. Times that are the current time are considered equal."""
    found = {}
    for name in sorted(one.keys() | other.keys()):
        left, right = one.get(name), other.get(name)
        if left and right and min(left["mtime"], right["mtime"]) >= since * 10 ** 9:
            left, right = left | {"mtime": "now"}, right | {"mtime": "now"}
        if left != right:
            found[name] = {key: (left[key], right[key]) for key in left if left[key] != right[key]} \
                if left and right else "missing in one"
    return found


def without_directory_times(found):
    """Remove sizes and times of directories, which some servers do not store."""
    unknown = {"size": 0, "mtime": 0}
    return {name: known | unknown if known["mode"].startswith("0o4") else known for name, known in found.items()}


def now():
    return int(time.time())
