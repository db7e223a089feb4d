# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-probe -m: mounts and their servers."""

import os
import re
import time
from pathlib import Path

import pytest

from kit import mounts
from kit.probe_fixtures import HOSTILE, PROBE, printable, probe, shown, without_systemd  # noqa: F401: fixtures
from kit.programs import AS_NOBODY


def test_mount_is_shown_with_its_server(recorded, shown, source):
    before = time.time()
    with recorded() as (session, server):
        row, = shown("-m", of="mounts")
        assert list(row) == ["source", "target", "type", "user", "pid", "unit", "memory", "since"]
        assert (row["source"], row["target"], row["type"], row["user"], row["pid"]) == (
            str(source), session.mountpoint, "toy", "root", server)
        resident = int(Path(f"/proc/{server}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
        assert row["memory"] == pytest.approx(resident, rel=0.5)
        since = time.mktime(time.strptime(row["since"][:19], "%Y-%m-%dT%H:%M:%S"))
        assert before - 2 <= since <= time.time() + 1 and re.fullmatch(r"[+-]\d\d:\d\d", row["since"][19:])
        assert shown("-m", "fuse.toy", of="mounts") == [row]
        assert shown("-m", "other", of="mounts") == []
        session.unmount()


def test_mounts_are_counted_for_their_type(recorded, shown, listen):
    listen("toy2")
    with recorded() as (session, _):
        assert {row["type"]: row["mounts"] for row in shown()} == {"toy": 1, "toy2": 0}
        session.unmount()


def test_memory_is_sum_of_all_processes_of_server(recorded, shown):
    with recorded() as (session, server):
        alone = shown("-m", of="mounts")[0]["memory"]
        table = Path("/run/mount/utab")
        start = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
        table.write_text(re.sub(r"fsvc\.server=\S+", f"fsvc.server={os.getpid()}:{start}", table.read_text()))
        row, = shown("-m", of="mounts")
        assert row["pid"] == os.getpid() and row["memory"] > 1.5 * alone
        session.unmount()


def test_exited_server_is_not_confused_with_process_of_same_pid(recorded, shown):
    with recorded() as (session, server):
        table = Path("/run/mount/utab")
        table.write_text(re.sub(r"fsvc\.server=\d+:\d+", f"fsvc.server={server}:1", table.read_text()))
        row, = shown("-m", of="mounts")
        assert (row["target"], row["pid"], row["unit"], row["memory"]) == (session.mountpoint, None, None, None)
        session.unmount()


def test_columns_are_empty_if_proc_hides_server(recorded, shown):
    hide = 'mount -t proc -o hidepid=2 proc /proc; exec "$@"'
    hidden = ["unshare", "--mount", "sh", "-c", hide, "sh", *AS_NOBODY, *PROBE]
    with recorded() as (session, _):
        row, = shown("-m", of="mounts")
        assert shown("-m", of="mounts", command=hidden) == [row | {"pid": None, "unit": None, "memory": None}]
        session.unmount()


def test_mounts_without_matching_table_entry_are_not_shown(recorded, shown):
    """The table entry belongs to a mount that is gone, and another mount has its mountpoint."""
    with recorded() as (session, _):
        entries = Path("/run/mount/utab").read_text()
        session.unmount()
        device = os.open("/dev/fuse", os.O_RDWR)
        mounts.mount("elsewhere", session.mountpoint, "fuse.toy", 0, f"fd={device},rootmode=40000,user_id=0,group_id=0")
        Path("/run/mount/utab").write_text(entries)
        assert shown("-m", of="mounts") == []
        mounts.detach(session.mountpoint)
        Path("/run/mount/utab").unlink()
        os.close(device)


def test_unknown_user_is_shown_as_number(recorded, shown):
    with recorded() as (session, _):
        device = os.open("/dev/fuse", os.O_RDWR)
        entries = Path("/run/mount/utab").read_text()
        session.unmount()
        mounts.mount(session.source, session.mountpoint, "fuse.toy", 0,
                     f"fd={device},rootmode=40000,user_id=654321,group_id=0")
        Path("/run/mount/utab").write_text(entries)
        row, = shown("-mO", of="mounts")
        assert (row["user"], row["uid"]) == ("654321", 654321)
        mounts.detach(session.mountpoint)
        Path("/run/mount/utab").unlink()
        os.close(device)


def test_topmost_mount_has_last_table_entry(recorded, shown):
    with recorded() as (session, server):
        table = Path("/run/mount/utab")
        device = os.open("/dev/fuse", os.O_RDWR)
        mounts.mount(session.source, session.mountpoint, "fuse.toy", 0,
                     f"fd={device},rootmode=40000,user_id=0,group_id=0")
        start = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
        entries = table.read_text()
        table.write_text(entries + re.sub(r"fsvc\.server=\S+", f"fsvc.server={os.getpid()}:{start}", entries))
        assert [row["pid"] for row in shown("-m", of="mounts")] == [server, os.getpid()]
        mounts.detach(session.mountpoint)
        table.write_text(entries)
        os.close(device)
        session.unmount()


@pytest.mark.parametrize("arguments", [["-m"], ["-mr"], ["-mJ"], ["-mO"]], ids=" ".join)
def test_control_characters_of_mountpoint_are_escaped(recorded, probe, work, arguments):
    target = work / HOSTILE
    target.mkdir()
    with recorded(mountpoint=target) as (session, _):
        result = probe(*arguments)
        assert printable(result.output) and "\\x1b[2Jred" in result.output.replace("\\\\", "\\")
        session.unmount()


def test_hanging_server_does_not_block_probe(recorded, probe):
    with recorded() as (session, _):  # no process reads from its /dev/fuse
        for arguments in ["-m"], [], ["toy"]:
            assert probe(*arguments).seconds < 20
        session.unmount()
