# SPDX-License-Identifier: LGPL-2.1-or-later
"""The helper opens for a service what the command line names, as it allows, and nothing else."""

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
LARGEFILE = 0o100000  # os.O_LARGEFILE is 0 where files are large anyway


def flags_of(descriptor):
    return fcntl.fcntl(descriptor, fcntl.F_GETFL)


# which files


def test_the_source_is_opened(attempt, source):
    opened = attempt().service.open(source)
    assert opened.error == 0 and opened.path == str(source)
    assert os.pread(opened.descriptor, 1 << 20, 0) == source.read_bytes()


@pytest.mark.parametrize("words", [["-o", "journal={}"], ["-ojournal={}"], ["-o", "ro,journal={},x-more=1"],
                                   ["-o", "x-first=/", "-o", "journal={}"], ["-o", "fsvc.file={}"],
                                   ["-o", "fsvc.file=/none,ro,fsvc.file={}"]], ids=" ".join)
def test_the_value_of_an_option_is_opened(attempt, work, words):
    journal = work / "journal"
    journal.write_text("named as well")
    opened = attempt(*[word.format(journal) for word in words]).service.open(journal)
    assert opened.error == 0
    assert os.pread(opened.descriptor, 100, 0) == b"named as well"


def test_a_source_that_the_caller_named_by_a_symlink_is_opened(attempt, source, work):
    link = work / "link"
    link.symlink_to(source)
    service = attempt(source=link).service
    assert service.open(link).error == 0
    assert service.open(link, os.O_NOFOLLOW).error != 0


def test_a_relative_source_is_opened_where_the_caller_stood(attempt, source, work):
    assert attempt(source=source.name, cwd=work).service.open(source.name).error == 0


OTHER_SPELLINGS = {
    "another file": lambda source: source.parent / "other",
    "a file that does not exist": lambda source: source.parent / "nothing",
    "through the directory and back": lambda source: f"{source.parent}/../{source.parent.name}/{source.name}",
    "with a dot": lambda source: f"{source.parent}/./{source.name}",
    "with a second slash": lambda source: f"/{source}",
    "with a slash at the end": lambda source: f"{source}/",
    "relative": lambda source: source.name,
    "cut short": lambda source: str(source)[:-1],
    "made longer": lambda source: f"{source}2",
    "by a symlink": lambda source: source.parent / "link",
    "by a hard link": lambda source: source.parent / "hard",
    "by a descriptor": lambda source: "/proc/self/fd/0",
    "by a device for descriptors": lambda source: "/dev/fd/3",
    "memory of the helper": lambda source: "/proc/self/mem",
    "the directory around it": lambda source: source.parent,
    "the mountpoint": lambda source: source.parent / "mnt",
    "another device": lambda source: "/dev/loop7",
    "nothing": lambda source: "",
    "the longest path": lambda source: "/" * 4095,
    "the longest packet": lambda source: "/" * (protocol.PACKET_MAX - 21),
}


@pytest.mark.parametrize("spell", OTHER_SPELLINGS.values(), ids=OTHER_SPELLINGS)
def test_an_open_of_a_file_nobody_named_is_refused(attempt, source, work, spell):
    (work / "other").write_text("secret")
    (work / "link").symlink_to(source)
    os.link(source, work / "hard")
    path, service = str(spell(source)), attempt(cwd=work).service
    assert service.open(path) == (errno.EACCES, path, None)
    assert service.open(path) == (errno.EACCES, path, None), "asking twice helps nobody"
    assert service.bdev(path) == (errno.EACCES, path, None)
    assert service.open(source).error == 0


@pytest.mark.parametrize("option", [
    "subtype={}", "fsname={}", "uid={}", "umask={}", "max_threads={}", "max_read={}", "context={}", "comment={}",
    "x-demo={}", "journal=1{}", "journal=/tmp:{}", "journal,{}",
])
def test_a_path_in_an_option_that_names_no_file_is_refused(attempt, work, option):
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
def test_a_source_that_is_no_file_or_block_device_is_refused_without_hanging(attempt, work, make, flags):
    path = work / "odd"
    make(path)
    service = attempt(source=path).service
    assert service.open(path, flags).error != 0
    assert service.bdev(path, flags).error != 0


def test_a_source_that_is_missing_is_reported_as_such(attempt, work):
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
STAY = os.O_ACCMODE | os.O_SYNC | os.O_DSYNC | os.O_DIRECT | os.O_NOATIME | os.O_NONBLOCK | os.O_APPEND


@pytest.mark.parametrize("flags", ALLOWED_FLAGS.values(), ids=ALLOWED_FLAGS)
def test_a_harmless_flag_is_granted_and_none_is_added(attempt, source, flags):
    opened = attempt().service.open(source, flags)
    assert opened.error == 0
    assert flags_of(opened.descriptor) & STAY == flags & STAY


@pytest.mark.parametrize("flags", [
    os.O_CREAT, os.O_CREAT | os.O_EXCL | os.O_RDWR, os.O_TRUNC, os.O_TRUNC | os.O_RDWR, TMPFILE | os.O_RDWR,
    os.O_PATH, os.O_DIRECTORY, ASYNC, os.O_ACCMODE, UNKNOWN, 1 << 31, 0xFFFFFFFF,
], ids=oct)
def test_a_flag_that_could_do_harm_is_refused(attempt, source, loop, flags):
    before = source.read_bytes()
    service = attempt("-o", f"journal={loop}").service
    assert service.open(source, flags).error != 0
    assert service.bdev(loop, flags).error != 0
    assert source.read_bytes() == before


@pytest.mark.parametrize("words", [["-o", "ro"], ["-o", "noatime,ro"], ["-r"]], ids=" ".join)
@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND], ids=oct)
def test_nothing_is_opened_for_writing_where_the_mount_is_read_only(attempt, source, words, flags):
    service = attempt(*words).service
    assert service.open(source, flags).error == errno.EROFS
    assert service.open(source, os.O_RDONLY).error == 0


@pytest.mark.parametrize("request_flags", [2, 3, 1 << 31])
def test_a_request_flag_nobody_knows_is_invalid(attempt, source, loop, request_flags):
    service = attempt(source=loop).service
    assert service.open(loop, request=request_flags).error == errno.EINVAL
    assert service.bdev(loop, request=request_flags).error == errno.EINVAL


# what the user hears


def test_a_quiet_request_that_fails_is_not_shown(attempt, work):
    begun = attempt("-o", f"journal={work}/nothing")
    assert begun.service.open(work / "nothing", request=protocol.QUIET).error == errno.ENOENT
    begun.prepare()
    assert begun.finish().errors == ""
    begun.unmount()


@pytest.mark.parametrize("ask", ["open", "bdev"])
def test_a_request_that_fails_is_shown_to_the_user(attempt, work, ask):
    begun = attempt(source=work / "nothing")
    assert getattr(begun.service, ask)(work / "nothing", request=0).error == errno.ENOENT
    begun.prepare()
    assert str(work / "nothing") in begun.finish().one_line()
    begun.unmount()


# block devices


def test_a_block_device_is_opened_by_either_command(attempt, loop, source):
    service = attempt(source=loop).service
    for opened in service.open(loop), service.bdev(loop):
        assert opened.error == 0
        assert stat.S_ISBLK(os.fstat(opened.descriptor).st_mode)
        assert os.pread(opened.descriptor, 512, 0) == source.read_bytes()[:512]


def test_a_file_is_no_block_device(attempt, source):
    assert attempt().service.bdev(source) == (errno.ENOTBLK, str(source), None)


@pytest.mark.parametrize("size", [512, 1024, 4096])
def test_a_block_size_is_set_on_the_device(attempt, loop, size):
    opened = attempt(source=loop).service.bdev(loop, os.O_RDWR, block=size)
    assert opened.error == 0
    answer = fcntl.ioctl(opened.descriptor, BLKBSZGET, bytes(8))
    assert int.from_bytes(answer[:4], "little") == size


@pytest.mark.parametrize("size", [1, 513, 1 << 31, 0xFFFFFFFF])
def test_a_block_size_that_no_device_has_fails(attempt, loop, size):
    assert attempt(source=loop).service.bdev(loop, os.O_RDWR, block=size).error != 0


@pytest.mark.parametrize("ask", ["open", "bdev"])
@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR], ids=oct)
def test_a_device_opened_for_writing_is_nobody_elses_meanwhile(attempt, loop, ask, flags):
    service = attempt(source=loop).service
    assert getattr(service, ask)(loop, flags).error == 0
    with pytest.raises(OSError, match=os.strerror(errno.EBUSY)):
        os.close(os.open(loop, os.O_RDWR | os.O_EXCL))


@pytest.mark.parametrize("ask", ["open", "bdev"])
def test_a_device_that_somebody_else_writes_is_busy(attempt, loop, ask):
    service, held = attempt(source=loop).service, os.open(loop, os.O_RDWR | os.O_EXCL)
    with contextlib.closing(os.fdopen(held)):
        assert getattr(service, ask)(loop, os.O_RDWR).error == errno.EBUSY
        assert getattr(service, ask)(loop, os.O_RDONLY).error == 0


@pytest.mark.parametrize("kind", ["fuse.toy", "fuseblk.toy"])
def test_a_device_mounted_elsewhere_is_not_opened_for_writing(attempt, work, kind):
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
def test_a_request_that_is_too_short_is_answered_for_the_path_of_a_question_mark(attempt, source, magic, size):
    service = attempt().service
    whole = protocol.open_command("", magic=magic)
    assert service.file_command(whole[:size]) == (errno.EINVAL, "?", None)
    assert service.open(source).error == 0


@pytest.mark.parametrize("magic", [protocol.OPEN, protocol.BDEV], ids=["OPEN", "BDEV"])
def test_a_path_without_its_end_is_answered_for_the_path_of_a_question_mark(attempt, source, magic):
    service = attempt().service
    endless = protocol.open_command(str(source).encode(), magic=magic)
    assert service.file_command(endless) == (errno.EINVAL, "?", None)
    assert service.open(source).error == 0


def test_a_path_with_two_ends_is_invalid(attempt, source):
    answer = attempt().service.open(str(source).encode() + b"\0.more\0")
    assert (answer.error, answer.descriptor) == (errno.EINVAL, None)


def test_a_packet_longer_than_any_gets_no_file(attempt, source):
    service = attempt().service
    service.send(protocol.open_command(source) + b"\0" * protocol.PACKET_MAX)
    assert service.has_ended() or service.received == [service.argv, service.fusedev]
