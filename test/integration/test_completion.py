# SPDX-License-Identifier: LGPL-2.1-or-later
"""Completions of bash, zsh and fish. The expected words are those of --help and of the manual pages."""

import re
import shutil

import pytest

from kit import mounts
from kit.fake_helper import SERVERS_BY_NAME
from kit.manual_pages import applets, page_options, help_options, help_text
from kit.shell_completion import SHELLS
from test_library import installed  # noqa: F401

OWN = [name for name in applets() if name.startswith(("fsvc-", "fuservicemount3"))]  # the other names belong to libfuse


@pytest.fixture(params=SHELLS.values(), ids=SHELLS.keys())
def shell(request, installed, work, closing):  # noqa: F811
    if not shutil.which(request.param.__name__.lower()):
        pytest.skip(f"there is no {request.param.__name__}")
    home = work / "home"
    home.mkdir()
    (home / "some.img").touch()
    return closing(request.param(installed, home))


def command_of(applet):
    """Return the beginning of a command line for the applet."""
    return applet if applet in OWN or applet == "fsvc" else f"fsvc {applet}"


def names(candidates):
    return {candidate.rstrip("= ") for candidate in candidates}


@pytest.mark.parametrize("applet", ["fsvc", *applets()])
def test_completed_options_are_those_of_help_and_manual_page(shell, applet):
    found = names(shell.complete(f"{command_of(applet)} -") + shell.complete(f"{command_of(applet)} --"))
    assert found == help_options(applet) == {option for option in page_options(applet) if option[0] == "-"}


def test_fsvc_completes_names_of_applets(shell):
    assert set(shell.complete("fsvc ")) == set(applets())


def test_applet_is_completed_after_fsvc_as_by_its_own_name(shell):
    assert shell.complete("fsvc fsvc-umount -") == shell.complete("fsvc-umount -")


# values


def command_lines_for(word):
    """Return command lines whose next word is of this kind, by the usage or the options in --help."""
    found = []
    for applet in applets():
        usage = re.sub(r"--?[A-Za-z][\w-]*[ =][A-Z]+", "", help_text(applet).partition("\n\n")[0])
        options = re.findall(rf"^  (-[\w-]+)[^\n]*? {word}(?:  |$)", help_text(applet), re.MULTILINE)
        found += [f"{command_of(applet)} {option} " for option in options]
        found += [f"{command_of(applet)} "] if re.search(rf"[\s[]{word}(?=[\].\s]|$)", usage) else []
    return found


@pytest.mark.parametrize("line", command_lines_for("TYPE"))
def test_types_of_existing_services_are_completed(shell, listen, line):
    assert shell.complete(line) == []
    listen("toy"), listen("train")
    assert sorted(shell.complete(line)) == ["toy", "train"]
    assert shell.complete(f"{line}tr") == ["train"]
    assert sorted(shell.complete(f"{line}fuseblk.t")) == ["fuseblk.toy", "fuseblk.train"]


@pytest.mark.parametrize("line", ["fuservicemount3 -o ", "fsvc mount.fuse3 -o "])
def test_fsvc_mount_options_are_completed_in_list(shell, line):
    found = names(shell.complete(f"{line}fsvc.t") + shell.complete(f"{line}ro,fsvc.f"))
    assert found == {"fsvc.timeout", "ro,fsvc.file"}


def test_columns_are_completed_in_list(shell):
    for line in command_lines_for("COLUMNS"):
        columns = {word for text in re.findall(r"\nColumns.*?\n\n", help_text(line.split()[0]), re.DOTALL)
                   for word in re.findall(r"\b[A-Z]+\b", text)}
        assert set(shell.complete(line)) == columns != set()
        assert shell.complete(f"{line}TYPE,TARG") == ["TYPE,TARGET"]


def test_file_operands_are_completed(shell):
    assert shell.complete("fuservicemount3 so") == ["some.img"]
    assert shell.complete("fsvc-umount so") == ["some.img"]


@pytest.mark.parametrize("applet", applets())
def test_file_arguments_of_options_are_completed(shell, applet):
    for option in re.findall(r"^  (?:-\w, )?(-[\w-]+[ =])(?:PATH|FILE|SOCKET|NAMESPACE)(?=  |$)", help_text(applet), re.M):
        found = shell.complete(f"{command_of(applet)} {option}so")
        assert [word.removeprefix(option) for word in found] == ["some.img"]


def test_server_of_fsvc_open_is_completed_as_command(shell):
    assert "squashfuse" in shell.complete("fsvc-open --read-only -- squashfus")
    assert shell.complete("fsvc-open -- squashfuse so") == ["some.img"]


def test_mountpoints_are_completed_by_fsvc_umount(shell, serve, mount, mountpoint):
    others = [found.mountpoint for found in mounts.mountinfo() if found.type.startswith(("fuse.", "fuseblk"))]
    serve(*SERVERS_BY_NAME["single_file_ll"])
    assert mount().code == 0
    assert sorted(shell.complete("fsvc-umount /")) == sorted([*others, str(mountpoint)])
    mounts.unmount(mountpoint)
