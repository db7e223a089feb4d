# SPDX-License-Identifier: LGPL-2.1-or-later
"""The helper and the servers together, with real files in real mounts, without systemd as pid 1."""

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


def assert_is_gone(service, place):
    assert mounts.at(place) == []
    wait_for(lambda: not service.instances(), what="the end of the server")


def unmount(service, place):
    mounts.unmount(place)
    assert_is_gone(service, place)


def succeeds(result):
    assert (result.code, result.errors) == (0, "")


# one file


def test_a_file_is_shown_in_a_directory(single_file, mount, source, mountpoint):
    succeeds(mount())
    assert os.listdir(mountpoint) == ["single_file"]
    assert (mountpoint / "single_file").read_bytes() == source.read_bytes()
    assert stat.S_ISREG((mountpoint / "single_file").stat().st_mode)
    unmount(single_file, mountpoint)


def test_what_is_written_reaches_the_source(single_file, mount, source, mountpoint):
    before = source.read_bytes()
    succeeds(mount())
    with open(mountpoint / "single_file", "r+b") as file:
        file.seek(5000)
        file.write(b"written through the mount")
    unmount(single_file, mountpoint)
    assert source.read_bytes() == before[:5000] + b"written through the mount" + before[5025:]


def test_a_read_only_mount_is_not_written_to(single_file, mount, source, mountpoint):
    before = source.read_bytes()
    succeeds(mount("-o", "ro"))
    assert "ro" in mounts.the_one_at(mountpoint).flags
    with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
        open(mountpoint / "single_file", "r+b")
    assert (mountpoint / "single_file").read_bytes() == before
    unmount(single_file, mountpoint)


def test_a_file_is_shown_as_the_mountpoint_itself(single_file, mount, source, work):
    place = work / "place"
    place.write_text("what was there")
    succeeds(mount("-o", "file_mount", mountpoint=place))
    assert place.read_bytes() == source.read_bytes()
    unmount(single_file, place)
    assert place.read_text() == "what was there"


def test_a_file_is_not_mounted_on_a_directory(single_file, mount, mountpoint):
    assert mount("-o", "file_mount").code == 1
    assert_is_gone(single_file, mountpoint)


def test_a_directory_is_not_mounted_on_a_file(single_file, mount, work):
    (work / "place").touch()
    assert mount(mountpoint=work / "place").code == 1
    assert_is_gone(single_file, work / "place")


@pytest.mark.parametrize("words", [[], ["-o", "ro"]], ids=["rw", "ro"])
def test_a_block_device_is_a_source_as_well(single_file, mount, loop, source, mountpoint, words):
    content = source.read_bytes()
    succeeds(mount(*words, source=loop))
    assert (mountpoint / "single_file").read_bytes() == content
    if not words:
        with open(mountpoint / "single_file", "r+b") as file:
            file.write(b"onto the device")
            os.fsync(file.fileno())
        content = b"onto the device" + content[15:]
    unmount(single_file, mountpoint)
    assert open(loop, "rb").read() == content


def test_two_mounts_are_two_servers(single_file, mount, source, mountpoint, work):
    other, place = work / "other.img", work / "place"
    other.write_bytes(b"another image" * 1000)
    place.mkdir()
    succeeds(mount())
    succeeds(mount(source=other, mountpoint=place))
    assert (place / "single_file").read_bytes() == other.read_bytes()
    assert len(single_file.instances()) == 2
    mounts.unmount(mountpoint)
    wait_for(lambda: len(single_file.instances()) == 1, what="the end of one server")
    assert (place / "single_file").read_bytes() == other.read_bytes()
    unmount(single_file, place)


def test_a_killed_server_ends_one_mount_and_nothing_else(single_file, mount, source, mountpoint, work):
    place = work / "place"
    place.mkdir()
    succeeds(mount())
    first = set(single_file.instances())
    succeeds(mount(mountpoint=place))
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not first & set(single_file.instances()))
    with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
        os.listdir(mountpoint)
    mounts.unmount(mountpoint)
    assert (place / "single_file").read_bytes() == source.read_bytes()
    unmount(single_file, place)


def test_a_deadline_on_the_command_line_does_not_disturb_the_server(single_file, mount, mountpoint):
    succeeds(mount("-o", "fsvc.timeout=20"))
    unmount(single_file, mountpoint)


def test_an_option_that_no_server_knows_is_refused(single_file, mount, mountpoint):
    result = mount("-o", "nobody_knows_this=1")
    assert result.code == 1
    assert_is_gone(single_file, mountpoint)


def test_a_missing_source_is_named(single_file, mount, mountpoint, work):
    result = mount(source=work / "nothing")
    assert result.code == 1
    assert str(work / "nothing") in result.errors
    assert_is_gone(single_file, mountpoint)


# a whole tree, through an unmodified server


@pytest.fixture(params=[[FSVC, "fsvc-open", "--uncontained", "--", "squashfuse"],
                        [*CONTAINED, FSVC, "fsvc-open", "--read-only", "--", "squashfuse"]],
                ids=["uncontained", "contained"])
def squashfuse(request, serve):
    return serve(*request.param)


def described(root):
    """Everything about each file that a filesystem should give back, by name."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(root))] = (
            oct(status.st_mode), status.st_uid, status.st_gid, int(status.st_mtime), content)
    return found


def test_an_image_shows_the_tree_that_it_was_made_of(squashfuse, mount, image, tree, mountpoint):
    succeeds(mount("-o", "ro", source=image))
    assert described(mountpoint) == described(tree)
    found = mounts.the_one_at(mountpoint)
    assert (found.type, found.source) == ("fuse.toy", str(image))
    assert {"ro", "nosuid", "nodev"} <= found.flags
    unmount(squashfuse, mountpoint)


def test_an_image_on_a_device_shows_the_same_tree(squashfuse, mount, image, tree, mountpoint):
    with loop_devices.loop_device(image) as device:
        succeeds(mount("-o", "ro", source=device))
        assert described(mountpoint) == described(tree)
        unmount(squashfuse, mountpoint)


def test_a_private_image_is_shown_by_a_server_that_could_not_open_it(squashfuse, mount, image, tree, mountpoint):
    image.chmod(0o600)
    succeeds(mount("-o", "ro", source=image))
    assert described(mountpoint) == described(tree)
    unmount(squashfuse, mountpoint)


def test_an_image_that_is_none_leaves_nothing(squashfuse, run, source, mountpoint):
    helper = run(*HELPER, source, mountpoint, "-t", "fuse.toy", "-o", "ro")
    result = helper.wait()
    assert result.code == 1
    assert_names_the_journal(result.one_line(), helper.pid)
    assert_is_gone(squashfuse, mountpoint)


def test_a_damaged_image_leaves_nothing(squashfuse, mount, image, mountpoint):
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
def test_a_server_that_fails_leaves_nothing(serve, run, source, mountpoint, server):
    service = serve(*server)
    helper = run(*HELPER, source, mountpoint, "-t", "fuse.toy")
    result = helper.wait()
    assert result.code == 1
    assert_names_the_journal(result.one_line(), helper.pid)
    assert_is_gone(service, mountpoint)


def test_a_server_that_hangs_is_given_up(serve, run, source, mountpoint):
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
@pytest.mark.parametrize("environment", [{}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}], ids=["plain", "another's"])
def test_a_server_that_was_not_activated_mounts_by_itself(run, server, environment, source, mountpoint):
    program = run(*SERVERS_BY_NAME[server], source, mountpoint, "-f", env=os.environ | environment)
    wait_for(lambda: mounts.at(mountpoint), what="the mount")
    assert (mountpoint / "single_file").read_bytes() == source.read_bytes()
    mounts.unmount(mountpoint)
    assert program.wait().code == 0


# umount(8)


def test_a_busy_mount_stays_and_goes_when_it_is_free(single_file, mount, mountpoint):
    succeeds(mount())
    with open(mountpoint / "single_file", "rb") as file:
        with pytest.raises(subprocess.CalledProcessError):
            mounts.unmount(mountpoint, "--quiet")
        assert file.read(3) == b"\x00\x01\x02"
    unmount(single_file, mountpoint)
