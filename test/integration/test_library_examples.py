# SPDX-License-Identifier: LGPL-2.1-or-later
"""The examples in the manual pages of the library are compile_example unchanged, and mount."""

import re
import shutil
import subprocess

import pytest

from kit import mounts
from kit.manual_pages import PAGES, header_prototypes, examples, sections
from kit.build_options import BUILD, REPOSITORY
from kit.waiting import wait_for
from test_library import flags, installed, library_directory  # noqa: F401


PORTING = REPOSITORY / "doc/porting.md"


def page(name):
    return REPOSITORY / f"doc/{name}.3"


def compile_example(installed, work, text):  # noqa: F811
    source, program = work / "example.c", work / "example"
    source.write_text(text)
    command = ["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", source, "-o", program]
    if "sanitize" in BUILD.name:
        command.append("-fsanitize=address,undefined")
    subprocess.run([*command, *flags(installed, "--cflags", "--libs", "fuse3")], check=True)
    return ["env", f"LD_LIBRARY_PATH={library_directory(installed)}", program]


def pages_of_example():
    text = "\n".join(sections(page("fuse_service"))["EXAMPLES"]).partition(".EX")[0]
    return ["fuse_service", *re.findall(r"^\.BR (\w+) \(3\)", text, re.MULTILINE)]


def assert_mount_shows_source(mount, source, target):
    """Mount the server, whose root is a file with the content of the source."""
    target.touch()
    result = mount("-o", "ro", mountpoint=target)
    assert (result.code, result.errors) == (0, "")
    assert target.read_bytes() == source.read_bytes()
    mounts.unmount(target)


def test_examples_of_library_are_one_server(installed, work, serve, mount, source):  # noqa: F811
    names = pages_of_example()
    assert {*names, "fuse_service_main"} == {path.stem for path in PAGES if path.suffix == ".3"}
    serve(*compile_example(installed, work, "".join(block for name in names for block in examples(page(name)))))
    assert_mount_shows_source(mount, source, work / "file")


def test_example_of_library_fails_in_one_line(installed, work, serve, mount):  # noqa: F811
    names = pages_of_example()
    serve(*compile_example(installed, work, "".join(block for name in names for block in examples(page(name)))))
    result = mount("-o", "ro")  # fails, since the mountpoint is a directory
    assert result.code == 1
    result.one_line()


@pytest.fixture
def high_level_example(installed, work):  # noqa: F811
    block, = examples(page("fuse_service_main"))
    return compile_example(installed, work, block)


def test_high_level_example_runs_as_service(high_level_example, serve, mount, source, mountpoint):
    serve(*high_level_example)
    result = mount("-o", "ro")
    assert (result.code, result.errors) == (0, "")
    assert (mountpoint / "size").read_text() == f"{source.stat().st_size}\n"
    mounts.unmount(mountpoint)


def test_high_level_example_runs_from_command_line(high_level_example, run, source, mountpoint):
    server = run(*high_level_example, source, mountpoint, "-f")
    wait_for(lambda: mounts.at(mountpoint), what="the mount")
    assert (mountpoint / "size").read_text() == f"{source.stat().st_size}\n"
    mounts.unmount(mountpoint)
    assert server.wait().code == 0


def test_man_finds_each_function(installed):  # noqa: F811
    for name in header_prototypes():
        command = ["man", "-M", installed / "usr/share/man", "3", name]
        shown = subprocess.run(command, check=True, capture_output=True, text=True)
        assert f"{name}(" in shown.stdout and "SYNOPSIS" in shown.stdout


# doc/porting.md


def porting_patch():
    return re.search(r"^```diff\n(.*?)^```", PORTING.read_text(), re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def ported(installed, work):  # noqa: F811
    """The original server with the patch of the page."""
    server = work / "one_file.c"
    shutil.copy(REPOSITORY / "test/servers/one_file.c", server)
    subprocess.run(["patch", "--quiet", "--fuzz=0", server], cwd=work, input=porting_patch(), check=True, text=True)
    return compile_example(installed, work, server.read_text())


def test_porting_patch_adds_less_than_twenty_lines():
    """Count added minus removed lines, without lines that contain only braces."""
    new, old = (len(re.findall(rf"^[{sign}][^{sign}\n].*\w", porting_patch(), re.MULTILINE)) for sign in "+-")
    assert (new - old, old) == (17, 4)


def test_ported_server_runs_as_service(ported, serve, mount, source, work):
    serve(*ported)
    assert_mount_shows_source(mount, source, work / "file")


def test_ported_server_runs_from_command_line(ported, run, source, work):
    target = work / "file"
    target.touch()
    server = run(*ported, source, target, "-f")
    wait_for(lambda: mounts.at(target), what="the mount")
    assert target.read_bytes() == source.read_bytes()
    mounts.unmount(target)
    assert server.wait().code == 0
