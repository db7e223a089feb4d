# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures of the integration tests: a private mount namespace, an empty /run/filesystems, nothing left behind."""

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
from kit.fake_service import HELPER, SOCKETS, Attempt, Listener
from kit.run_id import RUN
from kit.socket_activation import Service
from kit.throwaway_machine import remove_cgroups_of

pytest_plugins = ["selection"]

PRIVATE_PLACES = (SOCKETS, "/run/mount")  # where sockets are looked for, and where libmount keeps its table
# pytest-timeout fails a test after this time. A test that hangs in a system call on a filesystem does not notice: some
# time later its process is ended, and pytest-xdist starts another one for the rest.
TIMEOUT, GRACE = 300, 60  # seconds
AT_THE_END = contextlib.ExitStack()


def what_is_missing():
    if os.geteuid() != 0:
        return "mounting needs root"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "there is no /dev/fuse"
    return None


def pytest_configure(config):
    """Before any thread exists, since a namespace is a thread's."""
    config.real_stderr = os.dup(2)
    if what_is_missing():
        return
    for name in [name for name in os.environ if name.startswith(("LC_", "LANGUAGE"))]:
        del os.environ[name]
    os.environ["LANG"] = "C.UTF-8"
    mounts.enter_private_namespace()
    mounts.hide_fuse_mounts(but=(REPOSITORY, BUILD, tempfile.gettempdir(), "/usr", "/var/tmp"))
    processes.adopt_orphans()
    for place in PRIVATE_PLACES:
        AT_THE_END.enter_context(private_place(place))


def pytest_unconfigure(config):
    AT_THE_END.close()
    if not hasattr(config, "workerinput"):  # the first process, which ends last
        loop_devices.detach_all()
        remove_cgroups_of(RUN)


@contextlib.contextmanager
def private_place(path):
    """An empty directory for this namespace alone. Removing what is below would unmount it for other sessions too."""
    is_new = not os.path.isdir(path)
    os.makedirs(path, exist_ok=True)
    below = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(below, fcntl.LOCK_SH)
    try:
        with mounts.tmpfs(path):
            yield
    finally:
        with contextlib.suppress(OSError):  # somebody else's by now
            if is_new:
                fcntl.flock(below, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.rmdir(path)
        os.close(below)


@pytest.fixture
def work():
    """A directory of the test's own that everybody may enter."""
    path = Path(tempfile.mkdtemp(prefix="fsvc-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def longest(item):
    """Return the timeout of a test in seconds."""
    mark = item.get_closest_marker("timeout")
    return mark.args[0] if mark else TIMEOUT


@pytest.fixture(autouse=True)
def nothing_is_left(work, request, pytestconfig):
    if reason := what_is_missing():
        pytest.skip(reason)
    faulthandler.dump_traceback_later(longest(request.node) + GRACE, exit=True, file=pytestconfig.real_stderr)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{SOCKETS}/.lock")  # by which the helper knows that a listener runs, or has run in an earlier test
    with leftovers.nothing_left():
        yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def closing(nothing_is_left):
    """Closes, in the end and last first, what is handed to it."""
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
    """The source as a block device."""
    with loop_devices.loop_device(source) as device:
        yield device


@pytest.fixture
def run(closing):
    """Starts a program."""
    return lambda *arguments, **options: closing(programs.Program(arguments, **options))


@pytest.fixture
def listen(closing):
    """Puts a socket at the place of a subtype, where the test is the service."""
    return lambda subtype="toy", **options: closing(Listener(subtype, **options))


@pytest.fixture
def start(closing, listen, source, mountpoint):
    """Starts the helper on the source and the mountpoint, or on others, with more arguments if wanted."""

    def start(*arguments, source=source, mountpoint=mountpoint, listener=None, **options):
        return closing(Attempt(listener or listen(), source, mountpoint, *arguments, **options))

    return start


@pytest.fixture
def attempt(start):
    """The same, and the handshake is done."""

    def attempt(*arguments, **options):
        begun = start(*arguments, **options)
        begun.handshake()
        return begun

    return attempt


@pytest.fixture
def recorded(attempt):
    """A mount of a service whose server is a process of its own: the mount, and the server's pid."""

    @contextlib.contextmanager
    def recorded(*options, **details):
        begun = attempt(*options, **details)
        begun.prepare()
        with processes.forked(lambda: begun.service.send(protocol.byee(0))) as server:
            assert begun.helper.wait().code == 0
            yield begun, server

    return recorded


@pytest.fixture
def activate(closing):
    """Starts a server as a service, where the test is the helper."""
    return lambda *server, **options: closing(FakeHelper(server, **options))


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """A directory with some of everything that a filesystem holds."""
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
    """The tree as a squashfs image."""
    path = tmp_path_factory.mktemp("image") / "tree.squashfs"
    subprocess.run(["mksquashfs", tree, path, "-quiet", "-no-progress"], check=True, timeout=60)
    return path


@pytest.fixture
def image(packed, work):
    """The image where everybody may read it."""
    path = Path(shutil.copy(packed, work))
    path.chmod(0o644)
    return path


@pytest.fixture(params=SERVERS_BY_NAME.values(), ids=SERVERS_BY_NAME)
def server(request):
    """The command of each kind of server: one on either of libfuse's interfaces, and an unmodified one."""
    return request.param


@pytest.fixture
def greet(activate, image, mountpoint):
    """Starts a server and does the handshake, with the image and the mountpoint on the command line."""

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
    """Mounts as a person does, and gives the helper's result."""

    def mount(*words, source=source, mountpoint=mountpoint):
        return run(*HELPER, source, mountpoint, "-t", "fuse.toy", *words).wait()

    return mount
