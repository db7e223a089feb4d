# SPDX-License-Identifier: LGPL-2.1-or-later
"""What meson's options leave out is not there, and what they put in works: for each build, whatever its options."""

import errno
import os
import subprocess

import pytest

from kit import mounts, protocol
from kit.build_options import FSVC, REPOSITORY, build_option
from kit.unprivileged_user import as_user, fuse_conf, set_user_id  # noqa: F401, fixtures

ALL = sorted(file.stem for file in (REPOSITORY / "applets").glob("*.c") if file.stem != "main")
CHOSEN = ALL if build_option("applets") == ["all"] else build_option("applets")


def call(*words):
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def headers(option):
    return call("readelf", "--wide", option, FSVC).stdout


def test_the_applets_are_those_that_were_chosen():
    assert sorted(call(FSVC, "--list").stdout.split()) == CHOSEN


@pytest.mark.parametrize("applet", CHOSEN)
def test_an_applet_answers_by_its_own_name_and_behind_the_executables(applet, work):
    (work / applet).symlink_to(FSVC)
    for command in [work / applet], [FSVC, applet]:
        done = call(*command, "--help")
        assert done.returncode == 0 and done.stdout.startswith(f"Usage: {applet} ") and done.stderr == ""
        assert call(*command, "--version").stdout == call(FSVC, "--version").stdout


@pytest.mark.parametrize("applet", CHOSEN)
def test_an_applet_that_is_called_wrongly_says_so_in_its_own_name(applet):
    done = call(FSVC, applet, "--no-such-option")
    assert done.returncode not in (0, 127) and done.stderr.startswith(f"{applet}: ")


@pytest.mark.parametrize("applet", ALL)
def test_an_applet_that_was_left_out_is_not_known(applet):
    assert (call(FSVC, applet, "--help").returncode == 127) == (applet not in CHOSEN)


@pytest.mark.needs("static")
def test_a_static_executable_needs_no_other_file():
    assert "INTERP" not in headers("--segments") and "NEEDED" not in headers("--dynamic")


@pytest.mark.needs("static", value=False)
def test_a_dynamic_executable_needs_the_c_library_and_no_other_before_it_is_asked_for_more():
    needed = [line.split("[")[1] for line in headers("--dynamic").splitlines() if "(NEEDED)" in line]
    assert [name.split(".")[0] for name in needed if not name.startswith(("libasan", "libubsan"))] == ["libc"]


@pytest.mark.needs("mount_table", value=False)
def test_without_a_table_of_its_own_a_mount_is_in_the_kernels_alone(attempt):
    begun = attempt("-o", "_netdev,x-demo=1")
    begun.mount()
    assert os.listdir("/run/mount") == [] and mounts.at(begun.mountpoint)
    begun.unmount()


def capabilities(pid):
    with open(f"/proc/{pid}/status") as file:
        return {line.split()[0]: int(line.split()[1], 16) for line in file if line.startswith("Cap")}


@pytest.mark.needs("user_mounts", value=False)
def test_without_mounts_by_users_a_set_user_id_executable_keeps_nothing(attempt, as_user):
    begun = attempt(**as_user)
    held = capabilities(begun.helper.pid)
    assert held["CapPrm:"] == held["CapEff:"] == held["CapInh:"] == 0
    begun.get_ready()
    assert begun.service.command(protocol.doit()) == errno.EPERM
    begun.service.goodbye(1)
    begun.fails()


@pytest.mark.needs("user_mounts")
def test_with_mounts_by_users_a_set_user_id_executable_keeps_what_it_mounts_with(attempt, as_user):
    begun = attempt(**as_user)
    held = capabilities(begun.helper.pid)
    assert held["CapPrm:"] != 0 and held["CapEff:"] == held["CapInh:"] == 0
    begun.mount()
    begun.unmount()
