# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-open answers an unmodified server's calls about files: it gets what the helper gives, and nothing besides."""

import errno
import os
import stat

import pytest

from kit import mounts, protocol
from kit.broker_fixtures import answer_all, hidden, paths, python, server, source, told  # noqa: F401: fixtures
from kit.build_options import SERVERS

HERE = bytes(range(16)).hex()  # what content() of kit/server_prelude.py finds in the source

# the source, however it is asked for

SPELLINGS = {
    "as given": "SOURCE",
    "two slashes": "SOURCE.replace('/', '//')",
    "a dot": "os.path.dirname(SOURCE) + '/./' + NAME",
    "two dots": "MOUNTPOINT + '/../' + NAME",
    "two dots of nothing": "os.path.dirname(SOURCE) + '/nowhere/../' + NAME",
    "above the root": "'/../..' + SOURCE",
    "relative": "os.chdir(os.path.dirname(SOURCE)) or NAME",
    "relative to the mountpoint": "os.chdir(MOUNTPOINT) or '../' + NAME",
    "what realpath says": "os.path.realpath(SOURCE)",
    "a descriptor of its own": "f'/proc/self/fd/{FIRST}'",
    "a descriptor by /dev/fd": "f'/dev/fd/{FIRST}'",
    "a descriptor by its pid": "f'/proc/{os.getpid()}/fd/{FIRST}'",
    "a descriptor by its thread": "f'/proc/thread-self/fd/{FIRST}'",
    "a descriptor for its path alone": "f'/proc/self/fd/{os.open(SOURCE, os.O_PATH)}'",
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_the_source_is_found_in_each_spelling(told, spelling):
    assert told(f"""
        NAME, FIRST = os.path.basename(SOURCE), os.open(SOURCE, os.O_RDONLY)
        tell(content(attempt(os.open, {spelling}, os.O_RDONLY)))
    """)[0] == HERE


def test_the_source_is_found_from_the_descriptor_of_a_directory(told):
    assert told("""
        directory = os.open(os.path.dirname(SOURCE), os.O_RDONLY | os.O_DIRECTORY)
        tell(content(attempt(os.open, os.path.basename(SOURCE), os.O_RDONLY, dir_fd=directory)))
    """)[0] == HERE


def test_the_source_keeps_its_last_name(told, source):
    assert told("    tell(os.path.basename(SOURCE))")[0] == source.name


@pytest.fixture
def segment(source):
    """Another file of the person's."""
    path = source.with_name("second segment")
    path.write_bytes(bytes(range(200, 216)))
    path.chmod(0o600)
    return path


def test_a_file_that_the_command_line_names_is_next_to_the_source(told, segment):
    content, asked = told(f"""
        path = os.path.join(os.path.dirname(SOURCE), {segment.name!r})
        tell([os.read(os.open(path, os.O_RDONLY), 99).hex(), os.stat(path).st_size])
    """, granted=[segment], options=["-o", f"fsvc.file={segment}"])
    assert content == [bytes(range(200, 216)).hex(), 16]
    assert str(segment) in paths(asked)


def test_no_other_file_is_next_to_the_source(told, segment):
    told_error, asked = told(f"""
        tell(attempt(os.open, os.path.join(os.path.dirname(SOURCE), {segment.name!r}), os.O_RDONLY))
    """, granted=[segment])
    assert told_error == "ENOENT" and str(segment) not in paths(asked)


def test_each_open_has_an_offset_of_its_own(told):
    assert told("""
        first, second = os.open(SOURCE, os.O_RDONLY), os.open(SOURCE, os.O_RDONLY)
        os.lseek(first, 1000, os.SEEK_SET)
        tell(os.lseek(second, 0, os.SEEK_CUR))
    """)[0] == 0


def test_a_duplicate_shares_its_offset_as_ever(told):
    assert told("""
        first = os.open(SOURCE, os.O_RDONLY)
        second = os.dup(first)
        os.lseek(first, 1000, os.SEEK_SET)
        tell(os.lseek(second, 0, os.SEEK_CUR))
    """)[0] == 1000


@pytest.mark.parametrize("words, inherits", [("os.O_RDONLY", True), ("os.O_RDONLY | os.O_CLOEXEC", False)])
def test_a_descriptor_outlives_exec_if_it_is_to(told, words, inherits):
    assert told(f"    tell(os.get_inheritable(libc('open', SOURCE.encode(), {words})))")[0] is inherits


def test_what_is_opened_for_reading_is_not_written(told, source):
    before = source.read_bytes()
    assert told("    tell(attempt(os.pwrite, os.open(SOURCE, os.O_RDONLY), b'x', 0))")[0] == "EBADF"
    assert source.read_bytes() == before


def test_what_is_opened_for_writing_is_written(told, source):
    assert told("    tell(os.pwrite(os.open(SOURCE, os.O_RDWR), b'written', 100))")[0] == 7
    assert source.read_bytes()[100:107] == b"written"


@pytest.mark.parametrize("flag, error", [("O_TRUNC", "EPERM"), ("O_DIRECTORY", "ENOTDIR")])
def test_what_does_more_than_opening_is_refused(told, source, flag, error):
    before = source.read_bytes()
    assert told(f"    tell(attempt(os.open, SOURCE, os.O_RDWR | os.{flag}))")[0] == error
    assert source.read_bytes() == before


# read-only

READ_ONLY = {"by option": {"options": ["-o", "ro"]}, "by the unit": {"words": ["--read-only"]}}


@pytest.mark.parametrize("how", READ_ONLY.values(), ids=READ_ONLY)
def test_a_read_only_source_is_never_opened_for_writing(told, how):
    found, asked = told("""
        tell([attempt(os.open, SOURCE, flags) for flags in (os.O_RDWR, os.O_WRONLY)] +
             [content(os.open(SOURCE, os.O_RDONLY)), os.access(SOURCE, os.R_OK), os.access(SOURCE, os.W_OK)])
    """, **how)
    assert found == ["EROFS", "EROFS", HERE, True, False]
    assert all(command.numbers[0] & os.O_ACCMODE == os.O_RDONLY for command in asked if command.name == "OPEN")


def test_a_source_that_the_person_cannot_write_is_read_only(python, source):
    helper = python("    serve(mount())")
    command = helper.receive_command()
    assert command.numbers[0] & os.O_ACCMODE == os.O_RDWR
    helper.send(protocol.file(str(source), error=errno.EACCES))
    doit, = [command for command in answer_all(helper, source) if command.name == "DOIT"]
    assert doit.numbers[0] & mounts.RDONLY


# what is told of it


def test_stat_tells_of_the_source_what_the_person_would_see(told, source):
    found, _ = told("""
        tell([list(os.stat(SOURCE)), list(os.lstat(SOURCE)), os.path.realpath(SOURCE) == SOURCE, os.path.islink(SOURCE),
              os.access(SOURCE, os.R_OK), os.access(SOURCE, os.W_OK), os.access(SOURCE, os.X_OK),
              attempt(os.readlink, SOURCE)])
    """)
    real = os.stat(source)
    for shown in map(os.stat_result, found[:2]):
        assert (shown.st_ino, shown.st_dev, shown.st_mode) == (real.st_ino, real.st_dev, real.st_mode)
        assert (shown.st_size, shown.st_mtime) == (real.st_size, int(real.st_mtime))
    assert found[2:] == [True, False, True, True, False, "EINVAL"]


def test_the_mountpoint_is_an_empty_directory(told):
    found, _ = told("    tell([os.stat(MOUNTPOINT).st_mode, os.listdir(MOUNTPOINT)])")
    assert stat.S_ISDIR(found[0]) and found[1] == []


def test_a_static_program_is_answered_in_each_system_call(server, source):
    helper = server(SERVERS / "raw_calls")
    answer_all(helper, source)
    found = dict(line.rsplit(" ", 1) for line in helper.server.wait().output.splitlines())
    expected = dict.fromkeys(found, "0") | {"openat2": str(errno.ENOSYS), "readlinkat": str(errno.EINVAL)}
    if "readlink" in found:
        expected["readlink"] = str(errno.EINVAL)
    assert len(found) >= 8 and found == expected


def test_a_thread_opens_the_source(told):
    assert told("""
        import threading
        found = []
        thread = threading.Thread(target=lambda: found.append(content(attempt(os.open, SOURCE, os.O_RDONLY))))
        thread.start()
        thread.join()
        tell(found[0])
    """)[0] == HERE


def test_a_child_opens_the_source(told):
    assert told("""
        if not os.fork():
            tell(content(attempt(os.open, SOURCE, os.O_RDONLY)))
            os._exit(0)
        os.wait()
    """)[0] == HERE


def test_many_threads_are_answered_each_its_own(told):
    assert told("""
        import threading
        found = []
        def look(number):
            for _ in range(20):
                opened = attempt(os.open, SOURCE, os.O_RDONLY)
                found.append(content(opened, 1, number) == f"{number:02x}")
                os.close(opened)
        threads = [threading.Thread(target=look, args=[number]) for number in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        tell([len(found), all(found)])
    """)[0] == [160, True]


def test_a_program_that_the_server_runs_opens_the_source(told):
    assert told("""
        import subprocess
        shown = subprocess.run(["tail", "-c", "+257", SOURCE], stdout=subprocess.PIPE).stdout
        tell(shown[:16].hex())
    """)[0] == HERE


def test_a_name_that_ends_where_memory_ends_is_read(told):
    assert told("""
        import mmap
        size = mmap.PAGESIZE
        pages = mmap.mmap(-1, 2 * size)
        first = ctypes.addressof(ctypes.c_char.from_buffer(pages))
        libc("mprotect", ctypes.c_void_p(first + size), size, 0)
        name = SOURCE.encode() + b"\\0"
        pages[size - len(name):size] = name
        tell(content(libc("open", ctypes.c_void_p(first + size - len(name)), os.O_RDONLY)))
    """)[0] == HERE


BROKEN_NAMES = {"none": ("None", "EFAULT"), "empty": ("b''", "ENOENT"), "too long": ("b'/a' * 5000", "ENAMETOOLONG")}


@pytest.mark.parametrize("name, error", BROKEN_NAMES.values(), ids=BROKEN_NAMES)
def test_a_name_that_is_none_is_the_kernels_to_refuse(told, name, error):
    assert told(f"    tell(attempt(libc, 'open', {name}, os.O_RDONLY))")[0] == error


def test_an_answer_that_has_no_place_is_no_harm(told):
    found, _ = told("""
        stat = 262  # newfstatat of x86_64
        tell([attempt(libc, "syscall", stat, -100, SOURCE.encode(), ctypes.c_void_p(8), 0), os.stat(SOURCE).st_size])
    """)
    assert found == ["EFAULT", 65536]


# other files


def test_a_file_that_an_option_names_is_the_helpers_to_open(told, hidden):
    key = hidden / "key"
    key.write_text("key")
    key.chmod(0o600)
    found, asked = told("    tell(content(attempt(os.open, OPTIONS.split('=')[1], os.O_RDONLY), 3, 0))",
                        options=["-o", f"key={key}"], granted=[key])
    assert bytes.fromhex(found) == b"key" and str(key) in paths(asked)


def test_a_file_that_the_helper_refuses_is_not_there(told, work):
    found, asked = told("    tell(attempt(os.open, '/nowhere/secret', os.O_RDONLY))")
    assert found == "ENOENT" and "/nowhere/secret" in paths(asked)


def test_a_file_that_the_administrator_grants_to_the_type_is_opened(told, hidden):
    """Which the helper knows, and the command line does not."""
    keys = hidden / "keys"
    keys.write_text("all")
    keys.chmod(0o600)
    found, _ = told(f"    tell(content(attempt(os.open, '{keys}', os.O_RDONLY), 3, 0))", granted=[keys])
    assert bytes.fromhex(found) == b"all"


@pytest.mark.parametrize("path", ["/etc/passwd", "/usr/bin/env", "/proc/self/status"])
def test_a_file_that_is_there_is_not_asked_for(told, path):
    found, asked = told(f"    tell(isinstance(attempt(os.open, '{path}', os.O_RDONLY), int))")
    assert found is True and path not in paths(asked)


def test_another_processs_descriptor_is_not_its_own(told):
    assert told("""
        import signal
        child = os.fork()
        if not child:
            signal.pause()
        first = os.open(SOURCE, os.O_RDONLY)  # no such number in the child
        tell(attempt(os.open, f"/proc/{child}/fd/{first}", os.O_RDONLY))
        os.kill(child, 9)
        os.wait()
    """)[0] == "ENOENT"


def test_the_helper_is_not_asked_without_end(told):
    _, asked = told("""
        for number in range(1000):
            attempt(os.open, f"/nowhere/{number}", os.O_RDONLY)
        tell("asked")
    """)
    assert len(asked) < 200


RACE = """
        import mmap, random, signal, time
        beside = os.path.join(os.path.dirname(SOURCE), "named")
        names = [name.encode() for name in (SOURCE, beside, {named!r}, {secret!r}, "/dev/null")]
        size = max(map(len, names)) + 1
        shared = mmap.mmap(-1, size)  # with another process: threads of Python take turns
        path = ctypes.c_char.from_buffer(shared)
        swapper = os.fork()
        while not swapper:
            shared[:] = random.choice(names).ljust(size, b"\\0")
            if random.random() < 0.2:
                time.sleep(1e-5)  # on a machine's last core nobody else would have a turn
        # Half of one name and half of another may spell the directory that is the server's own.
        own = {{os.stat(name).st_ino for name in (os.path.dirname(SOURCE), "/dev/null")}}
        opened, others = {{os.stat(name).st_ino: 0 for name in (SOURCE, beside)}}, set()
        while min(opened.values()) < 1000:
            fd = LIBC.openat(-100, ctypes.byref(path), os.O_RDONLY)
            if fd >= 0:
                inode = os.fstat(fd).st_ino
                os.close(fd)
                if inode in opened:
                    opened[inode] += 1
                elif inode not in own:
                    others.add(inode)
        os.kill(swapper, signal.SIGKILL)
        os.wait()
        tell([list(opened), list(others)])
"""


def test_a_path_that_is_swapped_while_it_is_read_gains_nothing(told, hidden, source):
    """Another process writes other names over the one that waits for its answer, until both files were opened often."""
    secret, named = hidden / "secret", hidden / "named"
    for path in secret, named:
        path.write_text(path.name)
        path.chmod(0o600)
    race = RACE.format(secret=str(secret), named=str(named))
    opened, others = told(race, granted=[named], options=["-o", f"fsvc.file={named}"])[0]
    assert opened == [source.stat().st_ino, named.stat().st_ino] and others == []
