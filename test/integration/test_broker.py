# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-open answers an unmodified server's calls about files: it gets what the helper gives, and nothing besides."""

import errno
import os
import stat

import pytest

from kit import mounts, protocol
from kit.broker_fixtures import answer_all, hidden, paths, python, server, source, server_output  # noqa: F401: fixtures
from kit.build_options import SERVERS

SOURCE_BYTES = bytes(range(16)).hex()  # the result of content() in kit/server_prelude.py for the source

# paths of the source

SOURCE_PATHS = {
    "unchanged": "SOURCE",
    "two slashes": "SOURCE.replace('/', '//')",
    "a dot": "os.path.dirname(SOURCE) + '/./' + NAME",
    "two dots": "MOUNTPOINT + '/../' + NAME",
    "two dots after a missing directory": "os.path.dirname(SOURCE) + '/nowhere/../' + NAME",
    "above the root": "'/../..' + SOURCE",
    "relative": "os.chdir(os.path.dirname(SOURCE)) or NAME",
    "relative to the mountpoint": "os.chdir(MOUNTPOINT) or '../' + NAME",
    "realpath": "os.path.realpath(SOURCE)",
    "/proc/self/fd": "f'/proc/self/fd/{FIRST}'",
    "/dev/fd": "f'/dev/fd/{FIRST}'",
    "/proc/PID/fd": "f'/proc/{os.getpid()}/fd/{FIRST}'",
    "/proc/thread-self/fd": "f'/proc/thread-self/fd/{FIRST}'",
    "O_PATH descriptor": "f'/proc/self/fd/{os.open(SOURCE, os.O_PATH)}'",
}


@pytest.mark.parametrize("path", SOURCE_PATHS.values(), ids=SOURCE_PATHS)
def test_source_is_opened_by_any_path_to_it(server_output, path):
    assert server_output(f"""
        NAME, FIRST = os.path.basename(SOURCE), os.open(SOURCE, os.O_RDONLY)
        tell(content(attempt(os.open, {path}, os.O_RDONLY)))
    """)[0] == SOURCE_BYTES


def test_source_is_opened_relative_to_directory_descriptor(server_output):
    assert server_output("""
        directory = os.open(os.path.dirname(SOURCE), os.O_RDONLY | os.O_DIRECTORY)
        tell(content(attempt(os.open, os.path.basename(SOURCE), os.O_RDONLY, dir_fd=directory)))
    """)[0] == SOURCE_BYTES


def test_source_path_has_original_file_name(server_output, source):
    assert server_output("    tell(os.path.basename(SOURCE))")[0] == source.name


@pytest.fixture
def segment(source):
    """Another file of the caller."""
    path = source.with_name("second segment")
    path.write_bytes(bytes(range(200, 216)))
    path.chmod(0o600)
    return path


def test_granted_file_is_in_directory_of_source(server_output, segment):
    content, asked = server_output(f"""
        path = os.path.join(os.path.dirname(SOURCE), {segment.name!r})
        tell([os.read(os.open(path, os.O_RDONLY), 99).hex(), os.stat(path).st_size])
    """, granted=[segment], options=["-o", f"fsvc.file={segment}"])
    assert content == [bytes(range(200, 216)).hex(), 16]
    assert str(segment) in paths(asked)


def test_other_file_is_not_in_directory_of_source(server_output, segment):
    told_error, asked = server_output(f"""
        tell(attempt(os.open, os.path.join(os.path.dirname(SOURCE), {segment.name!r}), os.O_RDONLY))
    """, granted=[segment])
    assert told_error == "ENOENT" and str(segment) not in paths(asked)


def test_each_open_has_its_own_file_offset(server_output):
    assert server_output("""
        first, second = os.open(SOURCE, os.O_RDONLY), os.open(SOURCE, os.O_RDONLY)
        os.lseek(first, 1000, os.SEEK_SET)
        tell(os.lseek(second, 0, os.SEEK_CUR))
    """)[0] == 0


def test_duplicated_descriptor_shares_file_offset(server_output):
    assert server_output("""
        first = os.open(SOURCE, os.O_RDONLY)
        second = os.dup(first)
        os.lseek(first, 1000, os.SEEK_SET)
        tell(os.lseek(second, 0, os.SEEK_CUR))
    """)[0] == 1000


@pytest.mark.parametrize("flags, inherits", [("os.O_RDONLY", True), ("os.O_RDONLY | os.O_CLOEXEC", False)])
def test_close_on_exec_flag_follows_o_cloexec(server_output, flags, inherits):
    assert server_output(f"    tell(os.get_inheritable(libc('open', SOURCE.encode(), {flags})))")[0] is inherits


def test_source_opened_for_reading_cannot_be_written(server_output, source):
    before = source.read_bytes()
    assert server_output("    tell(attempt(os.pwrite, os.open(SOURCE, os.O_RDONLY), b'x', 0))")[0] == "EBADF"
    assert source.read_bytes() == before


def test_source_opened_for_writing_can_be_written(server_output, source):
    assert server_output("    tell(os.pwrite(os.open(SOURCE, os.O_RDWR), b'written', 100))")[0] == 7
    assert source.read_bytes()[100:107] == b"written"


@pytest.mark.parametrize("flag, error", [("O_TRUNC", "EPERM"), ("O_DIRECTORY", "ENOTDIR")])
def test_open_with_o_trunc_or_o_directory_is_refused(server_output, source, flag, error):
    before = source.read_bytes()
    assert server_output(f"    tell(attempt(os.open, SOURCE, os.O_RDWR | os.{flag}))")[0] == error
    assert source.read_bytes() == before


# read-only sources

READ_ONLY = {"option ro": {"options": ["-o", "ro"]}, "option --read-only": {"arguments": ["--read-only"]}}


@pytest.mark.parametrize("how", READ_ONLY.values(), ids=READ_ONLY)
def test_read_only_source_is_not_opened_for_writing(server_output, how):
    found, asked = server_output("""
        tell([attempt(os.open, SOURCE, flags) for flags in (os.O_RDWR, os.O_WRONLY)] +
             [content(os.open(SOURCE, os.O_RDONLY)), os.access(SOURCE, os.R_OK), os.access(SOURCE, os.W_OK)])
    """, **how)
    assert found == ["EROFS", "EROFS", SOURCE_BYTES, True, False]
    assert all(command.numbers[0] & os.O_ACCMODE == os.O_RDONLY for command in asked if command.name == "OPEN")


def test_source_without_write_permission_is_mounted_read_only(python, source):
    helper = python("    serve(mount())")
    command = helper.receive_command()
    assert command.numbers[0] & os.O_ACCMODE == os.O_RDWR
    helper.send(protocol.file(str(source), error=errno.EACCES))
    doit, = [command for command in answer_all(helper, source) if command.name == "DOIT"]
    assert doit.numbers[0] & mounts.RDONLY


# system calls on the source and the mountpoint


def test_stat_and_access_of_source_show_real_attributes(server_output, source):
    found, _ = server_output("""
        tell([list(os.stat(SOURCE)), list(os.lstat(SOURCE)), os.path.realpath(SOURCE) == SOURCE, os.path.islink(SOURCE),
              os.access(SOURCE, os.R_OK), os.access(SOURCE, os.W_OK), os.access(SOURCE, os.X_OK),
              attempt(os.readlink, SOURCE)])
    """)
    real = os.stat(source)
    for shown in map(os.stat_result, found[:2]):
        assert (shown.st_ino, shown.st_dev, shown.st_mode) == (real.st_ino, real.st_dev, real.st_mode)
        assert (shown.st_size, shown.st_mtime) == (real.st_size, int(real.st_mtime))
    assert found[2:] == [True, False, True, True, False, "EINVAL"]


def test_mountpoint_is_empty_directory(server_output):
    found, _ = server_output("    tell([os.stat(MOUNTPOINT).st_mode, os.listdir(MOUNTPOINT)])")
    assert stat.S_ISDIR(found[0]) and found[1] == []


def test_system_calls_of_static_program_are_emulated(server, source):
    helper = server(SERVERS / "raw_calls")
    answer_all(helper, source)
    found = dict(line.rsplit(" ", 1) for line in helper.server.wait().output.splitlines())
    expected = dict.fromkeys(found, "0") | {"openat2": str(errno.ENOSYS), "readlinkat": str(errno.EINVAL)}
    if "readlink" in found:
        expected["readlink"] = str(errno.EINVAL)
    assert len(found) >= 8 and found == expected


def test_source_can_be_opened_by_thread(server_output):
    assert server_output("""
        import threading
        found = []
        thread = threading.Thread(target=lambda: found.append(content(attempt(os.open, SOURCE, os.O_RDONLY))))
        thread.start()
        thread.join()
        tell(found[0])
    """)[0] == SOURCE_BYTES


def test_source_can_be_opened_by_child_process(server_output):
    assert server_output("""
        if not os.fork():
            tell(content(attempt(os.open, SOURCE, os.O_RDONLY)))
            os._exit(0)
        os.wait()
    """)[0] == SOURCE_BYTES


def test_concurrent_opens_of_threads_get_their_own_result(server_output):
    assert server_output("""
        import threading
        found = []
        def open_often(number):
            for _ in range(20):
                opened = attempt(os.open, SOURCE, os.O_RDONLY)
                found.append(content(opened, 1, number) == f"{number:02x}")
                os.close(opened)
        threads = [threading.Thread(target=open_often, args=[number]) for number in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        tell([len(found), all(found)])
    """)[0] == [160, True]


def test_source_can_be_opened_by_program_that_server_runs(server_output):
    assert server_output("""
        import subprocess
        shown = subprocess.run(["tail", "-c", "+257", SOURCE], stdout=subprocess.PIPE).stdout
        tell(shown[:16].hex())
    """)[0] == SOURCE_BYTES


def test_path_at_end_of_mapped_memory_is_read(server_output):
    assert server_output("""
        import mmap
        size = mmap.PAGESIZE
        pages = mmap.mmap(-1, 2 * size)
        first = ctypes.addressof(ctypes.c_char.from_buffer(pages))
        libc("mprotect", ctypes.c_void_p(first + size), size, 0)
        name = SOURCE.encode() + b"\\0"
        pages[size - len(name):size] = name
        tell(content(libc("open", ctypes.c_void_p(first + size - len(name)), os.O_RDONLY)))
    """)[0] == SOURCE_BYTES


INVALID_PATHS = {"null pointer": ("None", "EFAULT"), "empty": ("b''", "ENOENT"), "too long": ("b'/a' * 5000", "ENAMETOOLONG")}


@pytest.mark.parametrize("name, error", INVALID_PATHS.values(), ids=INVALID_PATHS)
def test_invalid_path_argument_fails_with_error_of_kernel(server_output, name, error):
    assert server_output(f"    tell(attempt(libc, 'open', {name}, os.O_RDONLY))")[0] == error


def test_invalid_result_pointer_fails_with_efault(server_output):
    found, _ = server_output("""
        stat = 262  # newfstatat of x86_64
        tell([attempt(libc, "syscall", stat, -100, SOURCE.encode(), ctypes.c_void_p(8), 0), os.stat(SOURCE).st_size])
    """)
    assert found == ["EFAULT", 65536]


# other files


def test_file_named_by_option_is_opened_by_helper(server_output, hidden):
    key = hidden / "key"
    key.write_text("key")
    key.chmod(0o600)
    found, asked = server_output("    tell(content(attempt(os.open, OPTIONS.split('=')[1], os.O_RDONLY), 3, 0))",
                        options=["-o", f"key={key}"], granted=[key])
    assert bytes.fromhex(found) == b"key" and str(key) in paths(asked)


def test_file_refused_by_helper_does_not_exist_for_server(server_output, work):
    found, asked = server_output("    tell(attempt(os.open, '/nowhere/secret', os.O_RDONLY))")
    assert found == "ENOENT" and "/nowhere/secret" in paths(asked)


def test_file_granted_by_administrator_is_opened_by_helper(server_output, hidden):
    """The helper knows these files from its configuration. They are not on the command line."""
    keys = hidden / "keys"
    keys.write_text("all")
    keys.chmod(0o600)
    found, _ = server_output(f"    tell(content(attempt(os.open, '{keys}', os.O_RDONLY), 3, 0))", granted=[keys])
    assert bytes.fromhex(found) == b"all"


@pytest.mark.parametrize("path", ["/etc/passwd", "/usr/bin/env", "/proc/self/status"])
def test_existing_file_is_opened_without_helper(server_output, path):
    found, asked = server_output(f"    tell(isinstance(attempt(os.open, '{path}', os.O_RDONLY), int))")
    assert found is True and path not in paths(asked)


def test_descriptor_of_other_process_is_not_emulated(server_output):
    assert server_output("""
        import signal
        child = os.fork()
        if not child:
            signal.pause()
        first = os.open(SOURCE, os.O_RDONLY)  # the child does not have this descriptor
        tell(attempt(os.open, f"/proc/{child}/fd/{first}", os.O_RDONLY))
        os.kill(child, 9)
        os.wait()
    """)[0] == "ENOENT"


def test_number_of_requests_to_helper_is_limited(server_output):
    _, asked = server_output("""
        for number in range(1000):
            attempt(os.open, f"/nowhere/{number}", os.O_RDONLY)
        tell("asked")
    """)
    assert len(asked) < 200


RACE = """
        import mmap, random, signal, time
        granted_path = os.path.join(os.path.dirname(SOURCE), "named")
        names = [name.encode() for name in (SOURCE, granted_path, {named!r}, {secret!r}, "/dev/null")]
        size = max(map(len, names)) + 1
        shared = mmap.mmap(-1, size)  # with a process: only one thread of Python runs at a time
        path = ctypes.c_char.from_buffer(shared)
        swapper = os.fork()
        while not swapper:
            shared[:] = random.choice(names).ljust(size, b"\\0")
            if random.random() < 0.2:
                time.sleep(1e-5)  # let other processes run if there is only one core
        # A mix of two paths may be that of a directory in the sandbox.
        own = {{os.stat(name).st_ino for name in (os.path.dirname(SOURCE), "/dev/null")}}
        opened, others = {{os.stat(name).st_ino: 0 for name in (SOURCE, granted_path)}}, set()
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


def test_path_changed_during_system_call_opens_no_other_file(server_output, hidden, source):
    """Another process overwrites the path argument until both files have been opened often."""
    secret, named = hidden / "secret", hidden / "named"
    for path in secret, named:
        path.write_text(path.name)
        path.chmod(0o600)
    race = RACE.format(secret=str(secret), named=str(named))
    opened, others = server_output(race, granted=[named], options=["-o", f"fsvc.file={named}"])[0]
    assert opened == [source.stat().st_ino, named.stat().st_ino] and others == []
