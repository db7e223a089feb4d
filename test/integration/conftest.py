# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures of the integration tests: a private mount namespace, an empty /run/filesystems, and checks for leftovers."""

import contextlib
import faulthandler
import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

pytest.register_assert_rewrite("kit")

from kit import leftovers, loop_devices, mounts, processes, programs, protocol
from kit.build_options import BUILD, REPOSITORY
from kit.fake_helper import SERVERS_BY_NAME, FakeHelper
from kit.fake_service import HELPER, SOCKETS, HelperSession, Listener
from kit.run_id import RUN
from kit.socket_activation import Service
from kit.throwaway_machine import remove_cgroups_of

pytest_plugins = ["selection"]

PRIVATE_DIRECTORIES = (SOCKETS, "/run/mount")  # for sockets, and for the table of libmount
# pytest-timeout fails a test after this time. If the test hangs in a system call, its process is killed some time later,
# and pytest-xdist starts another one.
TIMEOUT, GRACE = 300, 60  # seconds
CLEANUP = contextlib.ExitStack()


def missing_requirement():
    if os.geteuid() != 0:
        return "mounting needs root"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse is not available"
    return None


def pytest_configure(config):
    """Enter the namespaces before any thread is created."""
    config.real_stderr = os.dup(2)
    if missing_requirement():
        return
    for name in [name for name in os.environ if name.startswith(("LC_", "LANGUAGE"))]:
        del os.environ[name]
    os.environ["LANG"] = "C.UTF-8"
    mounts.enter_private_namespace()
    mounts.hide_fuse_mounts(but=(REPOSITORY, BUILD, tempfile.gettempdir(), "/usr", "/var/tmp"))
    processes.adopt_orphans()
    for directory in PRIVATE_DIRECTORIES:
        CLEANUP.enter_context(private_directory(directory))


def pytest_unconfigure(config):
    CLEANUP.close()
    if not hasattr(config, "workerinput"):  # the first process, which ends last
        loop_devices.detach_all()
        remove_cgroups_of(RUN)


@contextlib.contextmanager
def private_directory(path):
    """Mount a tmpfs in this mount namespace. Removing the directory would unmount the tmpfs of other test runs."""
    is_new = not os.path.isdir(path)
    os.makedirs(path, exist_ok=True)
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(directory, fcntl.LOCK_SH)
    try:
        with mounts.tmpfs(path):
            yield
    finally:
        with contextlib.suppress(OSError):  # used by another test run
            if is_new:
                fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.rmdir(path)
        os.close(directory)


@pytest.fixture
def work():
    """A directory of the test that all users can enter."""
    path = Path(tempfile.mkdtemp(prefix="fsvc-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def timeout_of(item):
    """Return the timeout of a test in seconds."""
    mark = item.get_closest_marker("timeout")
    return mark.args[0] if mark else TIMEOUT


@pytest.fixture(autouse=True)
def nothing_is_left(work, request, pytestconfig):
    if reason := missing_requirement():
        pytest.skip(reason)
    faulthandler.dump_traceback_later(timeout_of(request.node) + GRACE, exit=True, file=pytestconfig.real_stderr)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{SOCKETS}/.lock")  # its presence tells the helper that a listener runs
    with leftovers.nothing_left():
        yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def closing(nothing_is_left):
    """Close objects after the test, the last one first."""
    with contextlib.ExitStack() as stack:
        yield lambda thing: stack.enter_context(contextlib.closing(thing))


@pytest.fixture
def source(work):
    path = work / "source.img"
    path.write_bytes(bytes(range(256)) * 256)
    return path


@pytest.fixture
def mountpoint(work):
    path = work / "mnt"
    path.mkdir()
    return path


@pytest.fixture
def loop(source):
    """A block device with the content of the source."""
    with loop_devices.loop_device(source) as device:
        yield device


@pytest.fixture
def run(closing):
    """Start a program."""
    return lambda *arguments, **options: closing(programs.Program(arguments, **options))


@pytest.fixture
def listen(closing):
    """Create the socket of a type, whose service is the test."""
    return lambda subtype="toy", **options: closing(Listener(subtype, **options))


@pytest.fixture
def start(closing, listen, source, mountpoint):
    """Start the helper with the source, the mountpoint and additional arguments."""

    def start(*arguments, source=source, mountpoint=mountpoint, listener=None, **options):
        return closing(HelperSession(listener or listen(), source, mountpoint, *arguments, **options))

    return start


@pytest.fixture
def attempt(start):
    """Start the helper and complete the handshake."""

    def attempt(*arguments, **options):
        session = start(*arguments, **options)
        session.handshake()
        return session

    return attempt


@pytest.fixture
def recorded(attempt):
    """Mount with a service whose server is another process. Yield the session and the pid of the server."""

    @contextlib.contextmanager
    def recorded(*options, **details):
        session = attempt(*options, **details)
        session.prepare()
        with processes.forked(lambda: session.service.send(protocol.byee(0))) as server:
            assert session.helper.wait().code == 0
            yield session, server

    return recorded


@pytest.fixture
def activate(closing):
    """Start a server as a service whose helper is the test."""
    return lambda *server, **options: closing(FakeHelper(server, **options))


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """A directory with files of all kinds."""
    root = tmp_path_factory.mktemp("tree")
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "sub" / "bare").mkdir()
    (root / "empty").touch()
    (root / "text").write_text("the same everywhere\n")
    (root / "sub" / "numbers").write_bytes(bytes(range(256)) * 4096)
    (root / "sub" / "deep" / "a name with spaces, commas and \u00e4").write_text("found\n")
    (root / "link").symlink_to("sub/numbers")
    (root / "sub" / "dangling").symlink_to("/nowhere/at/all")
    (root / "text").chmod(0o640)
    (root / "sub" / "deep").chmod(0o750)
    os.chown(root / "sub" / "numbers", 1234, 5678)
    for when, path in enumerate(sorted(root.rglob("*"))):
        os.utime(path, (1_000_000_000 + when, 1_100_000_000 + when), follow_symlinks=False)
    return root


@pytest.fixture(scope="session")
def packed(tree, tmp_path_factory):
    """A squashfs image of the tree."""
    path = tmp_path_factory.mktemp("image") / "tree.squashfs"
    subprocess.run(["mksquashfs", tree, path, "-quiet", "-no-progress"], check=True, timeout=60)
    return path


@pytest.fixture
def image(packed, work):
    """A copy of the image that all users can read."""
    path = Path(shutil.copy(packed, work))
    path.chmod(0o644)
    return path


@pytest.fixture(params=SERVERS_BY_NAME.values(), ids=SERVERS_BY_NAME)
def server(request):
    """The command of each kind of server: two with libfsvc, one unmodified."""
    return request.param


@pytest.fixture
def greet(activate, image, mountpoint):
    """Start a server and complete the handshake, with the image and the mountpoint as arguments."""

    def greet(server, *options, source=image, mountpoint=mountpoint):
        helper = activate(*server)
        helper.handshake(["toy", str(source), str(mountpoint), *options])
        return helper

    return greet


@pytest.fixture
def serve(run, closing):
    return lambda *server: closing(Service(run, server))


@pytest.fixture
def mount(run, source, mountpoint):
    """Mount as a user does. Return the result of the helper."""

    def mount(*arguments, source=source, mountpoint=mountpoint):
        return run(*HELPER, source, mountpoint, "-t", "fuse.toy", *arguments).wait()

    return mount
