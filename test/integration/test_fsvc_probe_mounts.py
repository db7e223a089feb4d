# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-probe -m shows mounts and their servers, and asks neither."""

import os
import re
import time
from pathlib import Path

import pytest

from kit import mounts
from kit.probe_fixtures import HOSTILE, PROBE, printable, probe, shown, without_systemd  # noqa: F401: fixtures
from kit.programs import AS_NOBODY


def test_a_mount_is_shown_with_its_server(recorded, shown, source):
    before = time.time()
    with recorded() as (begun, server):
        row, = shown("-m", of="mounts")
        assert list(row) == ["source", "target", "type", "user", "pid", "unit", "memory", "since"]
        assert (row["source"], row["target"], row["type"], row["user"], row["pid"]) == (
            str(source), begun.mountpoint, "toy", "root", server)
        resident = int(Path(f"/proc/{server}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
        assert row["memory"] == pytest.approx(resident, rel=0.5)
        since = time.mktime(time.strptime(row["since"][:19], "%Y-%m-%dT%H:%M:%S"))
        assert before - 2 <= since <= time.time() + 1 and re.fullmatch(r"[+-]\d\d:\d\d", row["since"][19:])
        assert shown("-m", "fuse.toy", of="mounts") == [row]
        assert shown("-m", "other", of="mounts") == []
        begun.unmount()


def test_a_mount_counts_for_its_type(recorded, shown, listen):
    listen("toy2")
    with recorded() as (begun, _):
        assert {row["type"]: row["mounts"] for row in shown()} == {"toy": 1, "toy2": 0}
        begun.unmount()


def test_memory_is_that_of_all_processes_of_the_server(recorded, shown):
    with recorded() as (begun, server):
        alone = shown("-m", of="mounts")[0]["memory"]
        table = Path("/run/mount/utab")
        start = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
        table.write_text(re.sub(r"fsvc\.server=\S+", f"fsvc.server={os.getpid()}:{start}", table.read_text()))
        row, = shown("-m", of="mounts")
        assert row["pid"] == os.getpid() and row["memory"] > 1.5 * alone
        begun.unmount()


def test_a_server_that_has_died_is_not_shown_as_another(recorded, shown):
    with recorded() as (begun, server):
        table = Path("/run/mount/utab")
        table.write_text(re.sub(r"fsvc\.server=\d+:\d+", f"fsvc.server={server}:1", table.read_text()))
        row, = shown("-m", of="mounts")
        assert (row["target"], row["pid"], row["unit"], row["memory"]) == (begun.mountpoint, None, None, None)
        begun.unmount()


def test_a_server_that_proc_hides_leaves_its_columns_empty(recorded, shown):
    hide = 'mount -t proc -o hidepid=2 proc /proc; exec "$@"'
    hidden = ["unshare", "--mount", "sh", "-c", hide, "sh", *AS_NOBODY, *PROBE]
    with recorded() as (begun, _):
        row, = shown("-m", of="mounts")
        assert shown("-m", of="mounts", command=hidden) == [row | {"pid": None, "unit": None, "memory": None}]
        begun.unmount()


def test_mounts_of_others_are_not_a_services(recorded, shown):
    """Neither those without an entry, nor what lies in the place of one that is gone."""
    with recorded() as (begun, _):
        entries = Path("/run/mount/utab").read_text()
        begun.unmount()
        device = os.open("/dev/fuse", os.O_RDWR)
        mounts.mount("elsewhere", begun.mountpoint, "fuse.toy", 0, f"fd={device},rootmode=40000,user_id=0,group_id=0")
        Path("/run/mount/utab").write_text(entries)
        assert shown("-m", of="mounts") == []
        mounts.detach(begun.mountpoint)
        Path("/run/mount/utab").unlink()
        os.close(device)


def test_a_user_without_a_name_is_a_number(recorded, shown):
    with recorded() as (begun, _):
        device = os.open("/dev/fuse", os.O_RDWR)
        entries = Path("/run/mount/utab").read_text()
        begun.unmount()
        mounts.mount(begun.source, begun.mountpoint, "fuse.toy", 0,
                     f"fd={device},rootmode=40000,user_id=654321,group_id=0")
        Path("/run/mount/utab").write_text(entries)
        row, = shown("-mO", of="mounts")
        assert (row["user"], row["uid"]) == ("654321", 654321)
        mounts.detach(begun.mountpoint)
        Path("/run/mount/utab").unlink()
        os.close(device)


def test_the_mount_on_top_has_the_last_entry(recorded, shown):
    with recorded() as (begun, server):
        table = Path("/run/mount/utab")
        device = os.open("/dev/fuse", os.O_RDWR)
        mounts.mount(begun.source, begun.mountpoint, "fuse.toy", 0,
                     f"fd={device},rootmode=40000,user_id=0,group_id=0")
        start = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
        entries = table.read_text()
        table.write_text(entries + re.sub(r"fsvc\.server=\S+", f"fsvc.server={os.getpid()}:{start}", entries))
        assert [row["pid"] for row in shown("-m", of="mounts")] == [server, os.getpid()]
        mounts.detach(begun.mountpoint)
        table.write_text(entries)
        os.close(device)
        begun.unmount()


@pytest.mark.parametrize("words", [["-m"], ["-mr"], ["-mJ"], ["-mO"]], ids=" ".join)
def test_a_hostile_place_cannot_reach_the_terminal(recorded, probe, work, words):
    place = work / HOSTILE
    place.mkdir()
    with recorded(mountpoint=place) as (begun, _):
        result = probe(*words)
        assert printable(result.output) and "\\x1b[2Jred" in result.output.replace("\\\\", "\\")
        begun.unmount()


def test_a_server_that_hangs_keeps_nobody_waiting(recorded, probe):
    with recorded() as (begun, _):  # nobody reads from its /dev/fuse
        for words in ["-m"], [], ["toy"]:
            assert probe(*words).seconds < 20
        begun.unmount()
