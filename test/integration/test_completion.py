# SPDX-License-Identifier: LGPL-2.1-or-later
"""The completions of bash, zsh and fish, as these shells find and use them: the same words as --help and the pages."""

import re
import shutil

import pytest

from kit import mounts
from kit.fake_helper import SERVERS_BY_NAME
from kit.manual_pages import applets, documented, offered, told
from kit.shell_completion import SHELLS
from test_library import installed  # noqa: F401

OWN = [name for name in applets() if name.startswith(("fsvc-", "fuservicemount3"))]  # the others' names are libfuse's


@pytest.fixture(params=SHELLS.values(), ids=SHELLS.keys())
def shell(request, installed, work, closing):  # noqa: F811
    if not shutil.which(request.param.__name__.lower()):
        pytest.skip(f"there is no {request.param.__name__}")
    home = work / "home"
    home.mkdir()
    (home / "some.img").touch()
    return closing(request.param(installed, home))


def begin(applet):
    """How its command line begins."""
    return applet if applet in OWN or applet == "fsvc" else f"fsvc {applet}"


def names(candidates):
    return {candidate.rstrip("= ") for candidate in candidates}


@pytest.mark.parametrize("applet", ["fsvc", *applets()])
def test_the_options_are_those_of_the_help_and_of_the_page(shell, applet):
    found = names(shell.complete(f"{begin(applet)} -") + shell.complete(f"{begin(applet)} --"))
    assert found == offered(applet) == {option for option in documented(applet) if option[0] == "-"}


def test_the_executable_completes_its_applets(shell):
    assert set(shell.complete("fsvc ")) == set(applets())


def test_an_applet_is_the_same_behind_the_executables_name(shell):
    assert shell.complete("fsvc fsvc-umount -") == shell.complete("fsvc-umount -")


# values


def lines_that_want(word):
    """Command lines at whose end an applet's help wants this: behind an option, or as the usage has it."""
    found = []
    for applet in applets():
        usage = re.sub(r"--?[A-Za-z][\w-]*[ =][A-Z]+", "", told(applet).partition("\n\n")[0])
        options = re.findall(rf"^  (-[\w-]+)[^\n]*? {word}(?:  |$)", told(applet), re.MULTILINE)
        found += [f"{begin(applet)} {option} " for option in options]
        found += [f"{begin(applet)} "] if re.search(rf"[\s[]{word}(?=[\].\s]|$)", usage) else []
    return found


@pytest.mark.parametrize("line", lines_that_want("TYPE"))
def test_types_are_those_of_the_services_that_are_there(shell, listen, line):
    assert shell.complete(line) == []
    listen("toy"), listen("train")
    assert sorted(shell.complete(line)) == ["toy", "train"]
    assert shell.complete(f"{line}tr") == ["train"]
    assert sorted(shell.complete(f"{line}fuseblk.t")) == ["fuseblk.toy", "fuseblk.train"]


@pytest.mark.parametrize("line", ["fuservicemount3 -o ", "fsvc mount.fuse3 -o "])
def test_mount_options_of_fsvcs_own_are_completed_in_a_list(shell, line):
    found = names(shell.complete(f"{line}fsvc.t") + shell.complete(f"{line}ro,fsvc.f"))
    assert found == {"fsvc.timeout", "ro,fsvc.file"}


def test_columns_are_completed_in_a_list(shell):
    for line in lines_that_want("COLUMNS"):
        columns = {word for text in re.findall(r"\nColumns.*?\n\n", told(line.split()[0]), re.DOTALL)
                   for word in re.findall(r"\b[A-Z]+\b", text)}
        assert set(shell.complete(line)) == columns != set()
        assert shell.complete(f"{line}TYPE,TARG") == ["TYPE,TARGET"]


def test_files_are_completed_where_they_are_wanted(shell):
    assert shell.complete("fuservicemount3 so") == ["some.img"]
    assert shell.complete("fsvc-umount so") == ["some.img"]


@pytest.mark.parametrize("applet", applets())
def test_files_are_completed_behind_an_option(shell, applet):
    for option in re.findall(r"^  (?:-\w, )?(-[\w-]+[ =])(?:PATH|FILE|SOCKET|NAMESPACE)(?=  |$)", told(applet), re.M):
        found = shell.complete(f"{begin(applet)} {option}so")
        assert [word.removeprefix(option) for word in found] == ["some.img"]


def test_a_server_is_a_command_and_has_words_of_its_own(shell):
    assert "squashfuse" in shell.complete("fsvc-open --read-only -- squashfus")
    assert shell.complete("fsvc-open -- squashfuse so") == ["some.img"]


def test_what_is_mounted_is_completed(shell, serve, mount, mountpoint):
    others = [found.mountpoint for found in mounts.mountinfo() if found.type.startswith(("fuse.", "fuseblk"))]
    serve(*SERVERS_BY_NAME["single_file_ll"])
    assert mount().code == 0
    assert sorted(shell.complete("fsvc-umount /")) == sorted([*others, str(mountpoint)])
    mounts.unmount(mountpoint)
