# SPDX-License-Identifier: LGPL-2.1-or-later
"""The examples in the manual pages of the library: compiled as they stand, they mount."""

import re
import shutil
import subprocess

import pytest

from kit import mounts
from kit.manual_pages import PAGES, declared, examples, sections
from kit.build_options import BUILD, REPOSITORY
from kit.waiting import wait_for
from test_library import flags, installed, library_directory  # noqa: F401


PORTING = REPOSITORY / "doc/porting.md"


def page(name):
    return REPOSITORY / f"doc/{name}.3"


def compiled(installed, work, text):  # noqa: F811
    source, program = work / "example.c", work / "example"
    source.write_text(text)
    command = ["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", source, "-o", program]
    if "sanitize" in BUILD.name:
        command.append("-fsanitize=address,undefined")
    subprocess.run([*command, *flags(installed, "--cflags", "--libs", "fuse3")], check=True)
    return ["env", f"LD_LIBRARY_PATH={library_directory(installed)}", program]


def pages_of_the_whole_example():
    text = "\n".join(sections(page("fuse_service"))["EXAMPLES"]).partition(".EX")[0]
    return ["fuse_service", *re.findall(r"^\.BR (\w+) \(3\)", text, re.MULTILINE)]


def shows_the_source(mount, source, place):
    """The server that serves makes one file of the image."""
    place.touch()
    result = mount("-o", "ro", mountpoint=place)
    assert (result.code, result.errors) == (0, "")
    assert place.read_bytes() == source.read_bytes()
    mounts.unmount(place)


def test_the_examples_of_the_library_are_one_server(installed, work, serve, mount, source):  # noqa: F811
    names = pages_of_the_whole_example()
    assert {*names, "fuse_service_main"} == {path.stem for path in PAGES if path.suffix == ".3"}
    serve(*compiled(installed, work, "".join(block for name in names for block in examples(page(name)))))
    shows_the_source(mount, source, work / "file")


def test_the_example_of_the_library_fails_in_one_line(installed, work, serve, mount):  # noqa: F811
    names = pages_of_the_whole_example()
    serve(*compiled(installed, work, "".join(block for name in names for block in examples(page(name)))))
    result = mount("-o", "ro")  # the mountpoint is a directory
    assert result.code == 1
    result.one_line()


@pytest.fixture
def of_the_high_level(installed, work):  # noqa: F811
    block, = examples(page("fuse_service_main"))
    return compiled(installed, work, block)


def test_the_example_of_the_high_level_api_is_a_service(of_the_high_level, serve, mount, source, mountpoint):
    serve(*of_the_high_level)
    result = mount("-o", "ro")
    assert (result.code, result.errors) == (0, "")
    assert (mountpoint / "size").read_text() == f"{source.stat().st_size}\n"
    mounts.unmount(mountpoint)


def test_the_example_of_the_high_level_api_runs_by_hand(of_the_high_level, run, source, mountpoint):
    server = run(*of_the_high_level, source, mountpoint, "-f")
    wait_for(lambda: mounts.at(mountpoint), what="the mount")
    assert (mountpoint / "size").read_text() == f"{source.stat().st_size}\n"
    mounts.unmount(mountpoint)
    assert server.wait().code == 0


def test_man_finds_each_function(installed):  # noqa: F811
    for name in declared():
        command = ["man", "-M", installed / "usr/share/man", "3", name]
        shown = subprocess.run(command, check=True, capture_output=True, text=True)
        assert f"{name}(" in shown.stdout and "SYNOPSIS" in shown.stdout


# doc/porting.md


def the_change():
    return re.search(r"^```diff\n(.*?)^```", PORTING.read_text(), re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def ported(installed, work):  # noqa: F811
    """The server that the page starts from, with the page's lines in it."""
    server = work / "one_file.c"
    shutil.copy(REPOSITORY / "test/servers/one_file.c", server)
    subprocess.run(["patch", "--quiet", "--fuzz=0", server], cwd=work, input=the_change(), check=True, text=True)
    return compiled(installed, work, server.read_text())


def test_a_server_is_ported_in_twenty_lines():
    """New ones, beside those that take the place of others; a brace is no line."""
    new, old = (len(re.findall(rf"^[{sign}][^{sign}\n].*\w", the_change(), re.MULTILINE)) for sign in "+-")
    assert (new - old, old) == (17, 4)


def test_the_ported_server_is_a_service(ported, serve, mount, source, work):
    serve(*ported)
    shows_the_source(mount, source, work / "file")


def test_the_ported_server_still_runs_by_hand(ported, run, source, work):
    place = work / "file"
    place.touch()
    server = run(*ported, source, place, "-f")
    wait_for(lambda: mounts.at(place), what="the mount")
    assert place.read_bytes() == source.read_bytes()
    mounts.unmount(place)
    assert server.wait().code == 0
