# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hostile server in Python. It reports each attempt as "done" or with its error: to the connection if it is a
service, else to standard output. If root runs it outside a sandbox, all attempts succeed and leave nothing behind."""

import ctypes
import json
import mmap
import os
import resource
import socket
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_PRIVATE_REC = 1 << 18 | 1 << 14
IO_URING_SETUP = 425
PERSONALITY_READ_IMPLIES_EXEC = 0x400000
REPORT = {}


def attempt(name, call, *arguments):
    try:
        call(*arguments)
        REPORT[name] = "done"
    except (OSError, ValueError) as error:
        REPORT[name] = str(error)


def libc(function, *arguments):
    if getattr(LIBC, function)(*arguments) == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def write_in(directory):
    os.close(os.open(directory, os.O_TMPFILE | os.O_RDWR))


def see_others():
    if not [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) not in (os.getpid(), os.getppid())]:
        raise OSError("no other process")


def write_and_run():
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def find_in(directory):
    if not os.listdir(directory):
        raise OSError("empty directory")


def try_the_disk():
    for directory in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/var", "/usr", "/etc", "/"):
        attempt(f"write in {directory}", write_in, directory)
    for path in ("/etc/secret", "/etc/group"):
        attempt(f"read {path}", os.open, path, os.O_RDONLY)
    for directory in ("/sys", "/var", "/run/filesystems", "/run/systemd/journal", "/dev/pts", "/boot/..", "/media/.."):
        attempt(f"look into {directory}", find_in, directory)


def try_the_devices():
    for device in ("/dev/fuse", "/dev/loop-control", "/dev/ptmx"):
        attempt(f"open {device}", os.open, device, os.O_RDWR)
    attempt("make a device", os.mknod, "/run/attacker", 0o020600, os.makedev(1, 3))


def try_the_network():
    for family in ("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET"):
        attempt(f"a socket of {family}", socket.socket, getattr(socket, family), socket.SOCK_DGRAM)


def try_other_processes():
    attempt("see other processes", see_others)
    attempt("signal another process", os.kill, 1, 0)


def try_privileges():
    attempt("become root", os.setuid, 0)
    attempt("give a file away", os.chown, "/", 0, 0)
    attempt("change the root directory", os.chroot, "/")
    attempt("run before the others", os.setpriority, os.PRIO_PROCESS, 0, -1)
    attempt("raise a limit", resource.setrlimit, resource.RLIMIT_CORE, (4096, 4096))


def try_the_kernel():
    attempt("write and run memory", write_and_run)
    attempt("a file in memory", os.memfd_create, "attacker")
    attempt("io_uring", libc, "syscall", IO_URING_SETUP, 1, ctypes.create_string_buffer(120))
    attempt("another personality", libc, "personality", PERSONALITY_READ_IMPLIES_EXEC)
    attempt("a mount namespace", libc, "unshare", CLONE_NEWNS)
    attempt("mount", libc, "mount", None, b"/", None, ctypes.c_ulong(MS_PRIVATE_REC), None)
    attempt("a user namespace", libc, "unshare", CLONE_NEWUSER)


def main():
    print("<0>wake up, everybody", file=sys.stderr, flush=True)
    try_the_disk()
    try_the_devices()
    try_the_network()
    try_other_processes()
    try_privileges()
    try_the_kernel()
    report = json.dumps(REPORT).encode()
    if os.environ.get("LISTEN_FDS") == "1":
        socket.socket(fileno=3).send(report)
    else:
        os.write(1, report)


if __name__ == "__main__":
    main()
