# SPDX-License-Identifier: LGPL-2.1-or-later
"""Options of meson: parts that are left out are missing, and others work. For any build."""

import errno
import os
import subprocess

import pytest

from kit import mounts, protocol
from kit.build_options import FSVC, REPOSITORY, build_option
from kit.unprivileged_user import as_user, fuse_conf, set_user_id  # noqa: F401, fixtures

ALL = sorted(file.stem for file in (REPOSITORY / "applets").glob("*.c") if file.stem != "main")
CHOSEN = ALL if build_option("applets") == ["all"] else build_option("applets")


def run(*arguments):
    return subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def headers(option):
    return run("readelf", "--wide", option, FSVC).stdout


def test_selected_applets_are_listed():
    assert sorted(run(FSVC, "--list").stdout.split()) == CHOSEN


@pytest.mark.parametrize("applet", CHOSEN)
def test_applet_runs_by_its_own_name_and_as_argument(applet, work):
    (work / applet).symlink_to(FSVC)
    for command in [work / applet], [FSVC, applet]:
        done = run(*command, "--help")
        assert done.returncode == 0 and done.stdout.startswith(f"Usage: {applet} ") and done.stderr == ""
        assert run(*command, "--version").stdout == run(FSVC, "--version").stdout


@pytest.mark.parametrize("applet", CHOSEN)
def test_usage_error_names_applet(applet):
    done = run(FSVC, applet, "--no-such-option")
    assert done.returncode not in (0, 127) and done.stderr.startswith(f"{applet}: ")


@pytest.mark.parametrize("applet", ALL)
def test_other_applets_are_unknown(applet):
    assert (run(FSVC, applet, "--help").returncode == 127) == (applet not in CHOSEN)


@pytest.mark.needs("static")
def test_static_executable_needs_no_other_file():
    assert "INTERP" not in headers("--segments") and "NEEDED" not in headers("--dynamic")


@pytest.mark.needs("static", value=False)
def test_dynamic_executable_needs_only_c_library():
    needed = [line.split("[")[1] for line in headers("--dynamic").splitlines() if "(NEEDED)" in line]
    assert [name.split(".")[0] for name in needed if not name.startswith(("libasan", "libubsan"))] == ["libc"]


@pytest.mark.needs("mount_table", value=False)
def test_mount_without_table_has_no_utab_entry(attempt):
    session = attempt("-o", "_netdev,x-demo=1")
    session.mount()
    assert os.listdir("/run/mount") == [] and mounts.at(session.mountpoint)
    session.unmount()


def capabilities(pid):
    with open(f"/proc/{pid}/status") as file:
        return {line.split()[0]: int(line.split()[1], 16) for line in file if line.startswith("Cap")}


@pytest.mark.needs("user_mounts", value=False)
def test_set_user_id_executable_without_user_mounts_has_no_capabilities(attempt, as_user):
    session = attempt(**as_user)
    held = capabilities(session.helper.pid)
    assert held["CapPrm:"] == held["CapEff:"] == held["CapInh:"] == 0
    session.get_ready()
    assert session.service.command(protocol.doit()) == errno.EPERM
    session.service.goodbye(1)
    session.assert_fails()


@pytest.mark.needs("user_mounts")
def test_set_user_id_executable_with_user_mounts_keeps_capability_to_mount(attempt, as_user):
    session = attempt(**as_user)
    held = capabilities(session.helper.pid)
    assert held["CapPrm:"] != 0 and held["CapEff:"] == held["CapInh:"] == 0
    session.mount()
    session.unmount()
