# SPDX-License-Identifier: LGPL-2.1-or-later
"""The helper opens files for a service: only files that the command line names, with allowed flags."""

import contextlib
import errno
import fcntl
import os
import socket
import stat
import subprocess

import pytest

from kit import loop_devices, mounts, protocol

BLKBSZGET = 0x80081270
ASYNC, TMPFILE, UNKNOWN = 0o20000, 0o20200000, 1 << 30
LARGEFILE = 0o100000  # os.O_LARGEFILE is 0 on 64-bit systems


def flags_of(descriptor):
    return fcntl.fcntl(descriptor, fcntl.F_GETFL)


# which files


def test_source_is_opened(attempt, source):
    opened = attempt().service.open(source)
    assert opened.error == 0 and opened.path == str(source)
    assert os.pread(opened.descriptor, 1 << 20, 0) == source.read_bytes()


@pytest.mark.parametrize("options", [["-o", "journal={}"], ["-ojournal={}"], ["-o", "ro,journal={},x-more=1"],
                                   ["-o", "x-first=/", "-o", "journal={}"], ["-o", "fsvc.file={}"],
                                   ["-o", "fsvc.file=/none,ro,fsvc.file={}"]], ids=" ".join)
def test_file_named_by_option_is_opened(attempt, work, options):
    journal = work / "journal"
    journal.write_text("journal")
    opened = attempt(*[option.format(journal) for option in options]).service.open(journal)
    assert opened.error == 0
    assert os.pread(opened.descriptor, 100, 0) == b"journal"


def test_source_named_by_symlink_is_opened(attempt, source, work):
    link = work / "link"
    link.symlink_to(source)
    service = attempt(source=link).service
    assert service.open(link).error == 0
    assert service.open(link, os.O_NOFOLLOW).error != 0


def test_relative_source_is_opened_in_working_directory_of_caller(attempt, source, work):
    assert attempt(source=source.name, cwd=work).service.open(source.name).error == 0


OTHER_PATHS = {
    "other file": lambda source: source.parent / "other",
    "missing file": lambda source: source.parent / "nothing",
    "two dots": lambda source: f"{source.parent}/../{source.parent.name}/{source.name}",
    "dot": lambda source: f"{source.parent}/./{source.name}",
    "two slashes": lambda source: f"/{source}",
    "slash at the end": lambda source: f"{source}/",
    "relative": lambda source: source.name,
    "truncated": lambda source: str(source)[:-1],
    "longer": lambda source: f"{source}2",
    "symlink": lambda source: source.parent / "link",
    "hard link": lambda source: source.parent / "hard",
    "/proc/self/fd": lambda source: "/proc/self/fd/0",
    "/dev/fd": lambda source: "/dev/fd/3",
    "/proc/self/mem": lambda source: "/proc/self/mem",
    "its directory": lambda source: source.parent,
    "mountpoint": lambda source: source.parent / "mnt",
    "other device": lambda source: "/dev/loop7",
    "empty path": lambda source: "",
    "longest path": lambda source: "/" * 4095,
    "longest packet": lambda source: "/" * (protocol.PACKET_MAX - 21),
}


@pytest.mark.parametrize("other_path", OTHER_PATHS.values(), ids=OTHER_PATHS)
def test_other_paths_are_refused(attempt, source, work, other_path):
    (work / "other").write_text("secret")
    (work / "link").symlink_to(source)
    os.link(source, work / "hard")
    path, service = str(other_path(source)), attempt(cwd=work).service
    assert service.open(path) == (errno.EACCES, path, None)
    assert service.open(path) == (errno.EACCES, path, None), "the second request succeeded"
    assert service.bdev(path) == (errno.EACCES, path, None)
    assert service.open(source).error == 0


@pytest.mark.parametrize("option", [
    "subtype={}", "fsname={}", "uid={}", "umask={}", "max_threads={}", "max_read={}", "context={}", "comment={}",
    "x-demo={}", "journal=1{}", "journal=/tmp:{}", "journal,{}",
])
def test_path_in_option_without_file_argument_is_refused(attempt, work, option):
    other = work / "other"
    other.write_text("secret")
    service = attempt("-o", option.format(other)).service
    assert service.open(other).error == errno.EACCES


@pytest.mark.parametrize("make", [
    os.mkdir,
    os.mkfifo,
    lambda path: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3)),
    lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
], ids=["directory", "fifo", "character device", "socket"])
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR], ids=["to read", "to write"])
def test_source_of_other_file_type_is_refused_without_blocking(attempt, work, make, flags):
    path = work / "odd"
    make(path)
    service = attempt(source=path).service
    assert service.open(path, flags).error != 0
    assert service.bdev(path, flags).error != 0


def test_missing_source_fails_with_enoent(attempt, work):
    service = attempt(source=work / "nothing").service
    assert service.open(work / "nothing").error == errno.ENOENT
    assert service.bdev(work / "nothing").error == errno.ENOENT


# which flags


ALLOWED_FLAGS = {
    "O_RDONLY": os.O_RDONLY, "O_WRONLY": os.O_WRONLY, "O_RDWR": os.O_RDWR, "O_EXCL": os.O_EXCL,
    "O_CLOEXEC": os.O_CLOEXEC, "O_SYNC": os.O_RDWR | os.O_SYNC, "O_DSYNC": os.O_RDWR | os.O_DSYNC,
    "O_DIRECT": os.O_DIRECT, "O_NOATIME": os.O_NOATIME, "O_LARGEFILE": LARGEFILE, "O_NONBLOCK": os.O_NONBLOCK,
    "O_NOCTTY": os.O_NOCTTY, "O_NOFOLLOW": os.O_NOFOLLOW, "O_APPEND": os.O_RDWR | os.O_APPEND,
}
CHECKED_FLAGS = os.O_ACCMODE | os.O_SYNC | os.O_DSYNC | os.O_DIRECT | os.O_NOATIME | os.O_NONBLOCK | os.O_APPEND


@pytest.mark.parametrize("flags", ALLOWED_FLAGS.values(), ids=ALLOWED_FLAGS)
def test_allowed_open_flag_is_set_and_no_other(attempt, source, flags):
    opened = attempt().service.open(source, flags)
    assert opened.error == 0
    assert flags_of(opened.descriptor) & CHECKED_FLAGS == flags & CHECKED_FLAGS


@pytest.mark.parametrize("flags", [
    os.O_CREAT, os.O_CREAT | os.O_EXCL | os.O_RDWR, os.O_TRUNC, os.O_TRUNC | os.O_RDWR, TMPFILE | os.O_RDWR,
    os.O_PATH, os.O_DIRECTORY, ASYNC, os.O_ACCMODE, UNKNOWN, 1 << 31, 0xFFFFFFFF,
], ids=oct)
def test_other_open_flag_is_refused(attempt, source, loop, flags):
    before = source.read_bytes()
    service = attempt("-o", f"journal={loop}").service
    assert service.open(source, flags).error != 0
    assert service.bdev(loop, flags).error != 0
    assert source.read_bytes() == before


@pytest.mark.parametrize("options", [["-o", "ro"], ["-o", "noatime,ro"], ["-r"]], ids=" ".join)
@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND], ids=oct)
def test_read_only_mount_opens_no_file_for_writing(attempt, source, options, flags):
    service = attempt(*options).service
    assert service.open(source, flags).error == errno.EROFS
    assert service.open(source, os.O_RDONLY).error == 0


@pytest.mark.parametrize("request_flags", [2, 3, 1 << 31])
def test_unknown_request_flag_is_invalid(attempt, source, loop, request_flags):
    service = attempt(source=loop).service
    assert service.open(loop, request=request_flags).error == errno.EINVAL
    assert service.bdev(loop, request=request_flags).error == errno.EINVAL


# messages


def test_failure_of_quiet_request_is_not_printed(attempt, work):
    session = attempt("-o", f"journal={work}/nothing")
    assert session.service.open(work / "nothing", request=protocol.QUIET).error == errno.ENOENT
    session.prepare()
    assert session.finish().errors == ""
    session.unmount()


@pytest.mark.parametrize("command", ["open", "bdev"])
def test_failure_of_request_is_printed(attempt, work, command):
    session = attempt(source=work / "nothing")
    assert getattr(session.service, command)(work / "nothing", request=0).error == errno.ENOENT
    session.prepare()
    assert str(work / "nothing") in session.finish().one_line()
    session.unmount()


# block devices


def test_block_device_is_opened_by_both_commands(attempt, loop, source):
    service = attempt(source=loop).service
    for opened in service.open(loop), service.bdev(loop):
        assert opened.error == 0
        assert stat.S_ISBLK(os.fstat(opened.descriptor).st_mode)
        assert os.pread(opened.descriptor, 512, 0) == source.read_bytes()[:512]


def test_regular_file_is_not_a_block_device(attempt, source):
    assert attempt().service.bdev(source) == (errno.ENOTBLK, str(source), None)


@pytest.mark.parametrize("size", [512, 1024, 4096])
def test_block_size_of_device_is_set(attempt, loop, size):
    opened = attempt(source=loop).service.bdev(loop, os.O_RDWR, block=size)
    assert opened.error == 0
    answer = fcntl.ioctl(opened.descriptor, BLKBSZGET, bytes(8))
    assert int.from_bytes(answer[:4], "little") == size


@pytest.mark.parametrize("size", [1, 513, 1 << 31, 0xFFFFFFFF])
def test_invalid_block_size_fails(attempt, loop, size):
    assert attempt(source=loop).service.bdev(loop, os.O_RDWR, block=size).error != 0


@pytest.mark.parametrize("command", ["open", "bdev"])
@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR], ids=oct)
def test_device_opened_for_writing_is_exclusive(attempt, loop, command, flags):
    service = attempt(source=loop).service
    assert getattr(service, command)(loop, flags).error == 0
    with pytest.raises(OSError, match=os.strerror(errno.EBUSY)):
        os.close(os.open(loop, os.O_RDWR | os.O_EXCL))


@pytest.mark.parametrize("command", ["open", "bdev"])
def test_exclusively_opened_device_is_busy(attempt, loop, command):
    service, held = attempt(source=loop).service, os.open(loop, os.O_RDWR | os.O_EXCL)
    with contextlib.closing(os.fdopen(held)):
        assert getattr(service, command)(loop, os.O_RDWR).error == errno.EBUSY
        assert getattr(service, command)(loop, os.O_RDONLY).error == 0


@pytest.mark.parametrize("kind", ["fuse.toy", "fuseblk.toy"])
def test_mounted_device_is_not_opened_for_writing(attempt, work, kind):
    image, elsewhere = work / "ext4.img", work / "elsewhere"
    elsewhere.mkdir()
    subprocess.run(["mkfs.ext4", "-q", image, "1M"], check=True, timeout=30)
    with loop_devices.loop_device(image) as device:
        service = attempt(source=device, kind=kind).service
        mounts.mount(device, elsewhere, "ext4")
        try:
            assert service.bdev(device, os.O_RDWR).error == errno.EBUSY
            assert service.open(device, os.O_RDWR).error == errno.EBUSY
        finally:
            mounts.detach(elsewhere)


# malformed requests


@pytest.mark.parametrize("magic", [protocol.OPEN, protocol.BDEV], ids=["OPEN", "BDEV"])
@pytest.mark.parametrize("size", [4, 8, 19, 20])
def test_truncated_request_is_answered_with_question_mark_as_path(attempt, source, magic, size):
    service = attempt().service
    whole = protocol.open_command("", magic=magic)
    assert service.file_command(whole[:size]) == (errno.EINVAL, "?", None)
    assert service.open(source).error == 0


@pytest.mark.parametrize("magic", [protocol.OPEN, protocol.BDEV], ids=["OPEN", "BDEV"])
def test_path_without_final_null_byte_is_answered_with_question_mark(attempt, source, magic):
    service = attempt().service
    unterminated = protocol.open_command(str(source).encode(), magic=magic)
    assert service.file_command(unterminated) == (errno.EINVAL, "?", None)
    assert service.open(source).error == 0


def test_path_with_two_null_bytes_is_invalid(attempt, source):
    answer = attempt().service.open(str(source).encode() + b"\0.more\0")
    assert (answer.error, answer.descriptor) == (errno.EINVAL, None)


def test_too_long_packet_opens_no_file(attempt, source):
    service = attempt().service
    service.send(protocol.open_command(source) + b"\0" * protocol.PACKET_MAX)
    assert service.has_ended() or service.received == [service.argv, service.fusedev]
