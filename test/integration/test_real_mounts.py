# SPDX-License-Identifier: LGPL-2.1-or-later
"""The helper with real servers and real files, without systemd."""

import errno
import os
import signal
import stat
import subprocess

import pytest

from kit import loop_devices, mounts
from kit.fake_helper import CONTAINED, SERVERS_BY_NAME, SINGLE_FILE
from kit.fake_service import HELPER, assert_names_the_journal
from kit.build_options import FSVC
from kit.waiting import wait_for


@pytest.fixture(params=SINGLE_FILE)
def single_file(request, serve):
    return serve(*SERVERS_BY_NAME[request.param])


def assert_is_gone(service, target):
    assert mounts.at(target) == []
    wait_for(lambda: not service.instances(), what="the end of the server")


def unmount(service, target):
    mounts.unmount(target)
    assert_is_gone(service, target)


def assert_success(result):
    assert (result.code, result.errors) == (0, "")


# one file


def test_file_is_in_directory_of_mount(single_file, mount, source, mountpoint):
    assert_success(mount())
    assert os.listdir(mountpoint) == ["single_file"]
    assert (mountpoint / "single_file").read_bytes() == source.read_bytes()
    assert stat.S_ISREG((mountpoint / "single_file").stat().st_mode)
    unmount(single_file, mountpoint)


def test_written_data_reaches_source(single_file, mount, source, mountpoint):
    before = source.read_bytes()
    assert_success(mount())
    with open(mountpoint / "single_file", "r+b") as file:
        file.seek(5000)
        file.write(b"written through the mount")
    unmount(single_file, mountpoint)
    assert source.read_bytes() == before[:5000] + b"written through the mount" + before[5025:]


def test_read_only_mount_cannot_be_written(single_file, mount, source, mountpoint):
    before = source.read_bytes()
    assert_success(mount("-o", "ro"))
    assert "ro" in mounts.single_mount_at(mountpoint).flags
    with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
        open(mountpoint / "single_file", "r+b")
    assert (mountpoint / "single_file").read_bytes() == before
    unmount(single_file, mountpoint)


def test_file_can_be_mounted_on_file(single_file, mount, source, work):
    target = work / "target"
    target.write_text("original")
    assert_success(mount("-o", "file_mount", mountpoint=target))
    assert target.read_bytes() == source.read_bytes()
    unmount(single_file, target)
    assert target.read_text() == "original"


def test_file_is_not_mounted_on_directory(single_file, mount, mountpoint):
    assert mount("-o", "file_mount").code == 1
    assert_is_gone(single_file, mountpoint)


def test_directory_is_not_mounted_on_file(single_file, mount, work):
    (work / "target").touch()
    assert mount(mountpoint=work / "target").code == 1
    assert_is_gone(single_file, work / "target")


@pytest.mark.parametrize("options", [[], ["-o", "ro"]], ids=["rw", "ro"])
def test_block_device_can_be_source(single_file, mount, loop, source, mountpoint, options):
    content = source.read_bytes()
    assert_success(mount(*options, source=loop))
    assert (mountpoint / "single_file").read_bytes() == content
    if not options:
        with open(mountpoint / "single_file", "r+b") as file:
            file.write(b"onto the device")
            os.fsync(file.fileno())
        content = b"onto the device" + content[15:]
    unmount(single_file, mountpoint)
    assert open(loop, "rb").read() == content


def test_each_mount_has_its_own_server(single_file, mount, source, mountpoint, work):
    other, target = work / "other.img", work / "target"
    other.write_bytes(b"another image" * 1000)
    target.mkdir()
    assert_success(mount())
    assert_success(mount(source=other, mountpoint=target))
    assert (target / "single_file").read_bytes() == other.read_bytes()
    assert len(single_file.instances()) == 2
    mounts.unmount(mountpoint)
    wait_for(lambda: len(single_file.instances()) == 1, what="the end of one server")
    assert (target / "single_file").read_bytes() == other.read_bytes()
    unmount(single_file, target)


def test_killed_server_ends_only_its_own_mount(single_file, mount, source, mountpoint, work):
    target = work / "target"
    target.mkdir()
    assert_success(mount())
    first = set(single_file.instances())
    assert_success(mount(mountpoint=target))
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not first & set(single_file.instances()))
    with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
        os.listdir(mountpoint)
    mounts.unmount(mountpoint)
    assert (target / "single_file").read_bytes() == source.read_bytes()
    unmount(single_file, target)


def test_timeout_option_does_not_affect_server(single_file, mount, mountpoint):
    assert_success(mount("-o", "fsvc.timeout=20"))
    unmount(single_file, mountpoint)


def test_unknown_option_is_refused(single_file, mount, mountpoint):
    result = mount("-o", "nobody_knows_this=1")
    assert result.code == 1
    assert_is_gone(single_file, mountpoint)


def test_missing_source_is_named(single_file, mount, mountpoint, work):
    result = mount(source=work / "nothing")
    assert result.code == 1
    assert str(work / "nothing") in result.errors
    assert_is_gone(single_file, mountpoint)


# images, with an unmodified server


@pytest.fixture(params=[[FSVC, "fsvc-open", "--uncontained", "--", "squashfuse"],
                        [*CONTAINED, FSVC, "fsvc-open", "--read-only", "--", "squashfuse"]],
                ids=["uncontained", "contained"])
def squashfuse(request, serve):
    return serve(*request.param)


def describe(root):
    """Return the attributes and contents of all files, by path."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(root))] = (
            oct(status.st_mode), status.st_uid, status.st_gid, int(status.st_mtime), content)
    return found


def test_mount_of_image_shows_original_tree(squashfuse, mount, image, tree, mountpoint):
    assert_success(mount("-o", "ro", source=image))
    assert describe(mountpoint) == describe(tree)
    found = mounts.single_mount_at(mountpoint)
    assert (found.type, found.source) == ("fuse.toy", str(image))
    assert {"ro", "nosuid", "nodev"} <= found.flags
    unmount(squashfuse, mountpoint)


def test_mount_of_block_device_shows_original_tree(squashfuse, mount, image, tree, mountpoint):
    with loop_devices.loop_device(image) as device:
        assert_success(mount("-o", "ro", source=device))
        assert describe(mountpoint) == describe(tree)
        unmount(squashfuse, mountpoint)


def test_private_image_is_served_by_unprivileged_server(squashfuse, mount, image, tree, mountpoint):
    image.chmod(0o600)
    assert_success(mount("-o", "ro", source=image))
    assert describe(mountpoint) == describe(tree)
    unmount(squashfuse, mountpoint)


def test_invalid_image_leaves_no_mount(squashfuse, run, source, mountpoint):
    helper = run(*HELPER, source, mountpoint, "-t", "fuse.toy", "-o", "ro")
    result = helper.wait()
    assert result.code == 1
    assert_names_the_journal(result.one_line(), helper.pid)
    assert_is_gone(squashfuse, mountpoint)


def test_damaged_image_leaves_no_mount(squashfuse, mount, image, mountpoint):
    content = bytearray(image.read_bytes())
    content[4:96] = b"\xff" * 92
    image.write_bytes(content)
    assert mount("-o", "ro", source=image).code == 1
    assert_is_gone(squashfuse, mountpoint)


# servers that fail


@pytest.mark.parametrize("server", [
    ["/bin/false"], ["/bin/sh", "-c", "kill -SEGV $$"], [FSVC, "fsvc-open", "--uncontained", "--", "false"],
    [FSVC, "fsvc-open", "--", "squashfuse"],
], ids=["false", "crash", "false behind fsvc-open", "privileged"])
def test_failed_server_leaves_no_mount(serve, run, source, mountpoint, server):
    service = serve(*server)
    helper = run(*HELPER, source, mountpoint, "-t", "fuse.toy")
    result = helper.wait()
    assert result.code == 1
    assert_names_the_journal(result.one_line(), helper.pid)
    assert_is_gone(service, mountpoint)


def test_hanging_server_is_given_up(serve, run, source, mountpoint):
    service = serve("/bin/sleep", "600")
    helper = run(*HELPER, source, mountpoint, "-t", "fuse.toy", "-o", "fsvc.timeout=1")
    result = helper.wait()
    assert result.code == 1 and result.seconds < 20
    assert_names_the_journal(result.one_line(), helper.pid)
    assert mounts.at(mountpoint) == []
    for pid in service.instances():
        os.kill(pid, signal.SIGKILL)
    assert_is_gone(service, mountpoint)


# without a helper


@pytest.mark.parametrize("server", SINGLE_FILE)
@pytest.mark.parametrize("environment", [{}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}], ids=["plain", "variables of other process"])
def test_server_that_is_not_activated_mounts_by_itself(run, server, environment, source, mountpoint):
    program = run(*SERVERS_BY_NAME[server], source, mountpoint, "-f", env=os.environ | environment)
    wait_for(lambda: mounts.at(mountpoint), what="the mount")
    assert (mountpoint / "single_file").read_bytes() == source.read_bytes()
    mounts.unmount(mountpoint)
    assert program.wait().code == 0


# umount(8)


def test_busy_mount_is_not_unmounted(single_file, mount, mountpoint):
    assert_success(mount())
    with open(mountpoint / "single_file", "rb") as file:
        with pytest.raises(subprocess.CalledProcessError):
            mounts.unmount(mountpoint, "--quiet")
        assert file.read(3) == b"\x00\x01\x02"
    unmount(single_file, mountpoint)
