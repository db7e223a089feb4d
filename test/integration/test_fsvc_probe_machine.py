# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-probe in a machine with a real systemd: units, limits, sandboxes, and what is mounted."""

import contextlib
import json
import re
import shutil
import time

import pytest

from kit import mounts
from kit.installed_machine import installed_machine
from kit.waiting import wait_for

UNITS = "/etc/systemd/system"
USER = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
STRANGER = ("setpriv", "--reuid=4242", "--regid=4242", "--clear-groups")  # whom the bus does not know
HOSTILE = "evil\x1b[2Jred"


@pytest.fixture(scope="module")
def machine():
    with installed_machine() as machine:
        machine.run("systemctl", "enable", "--now", "fsvc-squashfs.socket")
        machine.run("sh", "-c", "mkdir -p /images/mnt /images/other && cd /images && echo small >small &&"
                    "mksquashfs small small.img -quiet -no-progress && chmod 644 small.img")
        yield machine


@pytest.fixture(autouse=True)
def nothing_stays(machine):
    yield
    for mount in reversed(mounts.mountinfo(machine.leader)):
        if mount.type.startswith("fuse"):
            machine.run("umount", mount.mountpoint)
    wait_for(lambda: services_that_run(machine) == [], 30, "the end of all services")
    assert machine.run("systemctl", "--failed", "--plain", "--no-legend").stdout == ""


def services_that_run(machine):
    listed = machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "fsvc-*.service").stdout
    return [line.split()[0] for line in listed.splitlines()]


def probe(machine, *words, user=(), of="services", code=0):
    done = machine.run(*user, "fsvc-probe", "--json", *words, check=False)
    assert (done.returncode, done.stderr) == (code, ""), done
    return json.loads(done.stdout)[of]


def the_row(machine, kind, *words, **options):
    row, = [row for row in probe(machine, *words, **options) if row["type"] == kind]
    return row


def mount(machine, target="/images/mnt", kind="squashfs", *words):
    machine.run("fuservicemount3", "/images/small.img", target, "-t", kind, *words)


def write_units(machine, name, listen, service=None, lines=""):
    machine.path(f"{UNITS}/{name}.socket").write_text(f"[Socket]\nListenSequentialPacket={listen}\n{lines}\n")
    if service:
        machine.path(f"{UNITS}/{name}@.service").write_text(f"[Service]\n{service}\n")
    machine.run("systemctl", "daemon-reload")


def remove_units(machine, name, listen=""):
    machine.run("systemctl", "stop", f"{name}.socket", check=False)
    for path in f"{UNITS}/{name}.socket", f"{UNITS}/{name}@.service", listen:
        if path:
            machine.path(path).unlink(missing_ok=True)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "reset-failed")


# services


def test_a_socket_that_is_stopped_listens_no_more(machine):
    machine.run("systemctl", "stop", "fsvc-squashfs.socket")
    try:
        row = the_row(machine, "squashfs")
        assert (row["state"], row["enabled"], row["limit"]) == ("not-listening", "enabled", 4096)
    finally:
        machine.run("systemctl", "start", "fsvc-squashfs.socket")


def test_each_installed_socket_has_a_row(machine):
    installed = machine.run("systemctl", "list-unit-files", "--no-legend", "fsvc-*.socket").stdout
    units = {line.split()[0]: line.split()[1] for line in installed.splitlines()}
    rows = probe(machine)
    assert len(rows) == len(units) > 10
    assert {row["unit"]: row["enabled"] for row in rows} == units
    assert all(row["unit"] == f"fsvc-{row['type']}.socket" for row in rows)
    assert all(row["socket"] == f"/run/filesystems/{row['type']}" for row in rows)


def test_what_runs_is_told_from_what_is_installed(machine):
    assert the_row(machine, "squashfs") == {
        "type": "squashfs", "state": "ready", "socket": "/run/filesystems/squashfs", "unit": "fsvc-squashfs.socket",
        "enabled": "enabled", "mounts": 0, "limit": 4096, "server": "squashfuse"}
    assert the_row(machine, "ext4") == {
        "type": "ext4", "state": "not-listening", "socket": "/run/filesystems/ext4", "unit": "fsvc-ext4.socket",
        "enabled": "disabled", "mounts": 0, "limit": 4096, "server": "fuse2fs"}
    assert the_row(machine, "single_file_ll")["server"] == "single_file_ll"  # one without fsvc-open


def test_it_starts_nothing_and_loads_nothing(machine):
    before = machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend").stdout
    jobs = machine.run("journalctl", "-o", "cat", "-u", "fsvc-*").stdout
    for words in [], ["-O"], ["squashfs"], ["-m"]:
        machine.run("fsvc-probe", *words)
    wait_for(lambda: machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend").stdout == before)
    assert machine.run("journalctl", "-o", "cat", "-u", "fsvc-*").stdout == jobs


def test_an_ordinary_user_sees_the_same_but_for_the_rights(machine):
    rows = probe(machine, user=USER)
    assert the_row(machine, "squashfs", user=USER)["state"] == "refused"
    assert [row | {"state": ""} for row in rows] == [row | {"state": ""} for row in probe(machine)]
    for user, code in ((), 0), (USER, 1):
        assert machine.run(*user, "fsvc-probe", "--check", "squashfs", check=False).returncode == code
    assert machine.run("fsvc-probe", "--check", "ext4", check=False).returncode == 1


def test_mounts_are_counted(machine):
    mount(machine)
    mount(machine, "/images/other")
    row = the_row(machine, "squashfs", "-O")
    assert (row["mounts"], row["connections"]) == (2, 2)


@contextlib.contextmanager
def drop_in(machine, unit, text):
    """What an administrator adds to a unit."""
    path = machine.path(f"{UNITS}/{unit}.d/50-ours.conf")
    path.parent.mkdir()
    path.write_text(text)
    machine.run("systemctl", "daemon-reload")
    try:
        yield
    finally:
        shutil.rmtree(path.parent)
        machine.run("systemctl", "daemon-reload")


def test_a_limit_of_the_administrators_is_shown(machine):
    with drop_in(machine, "fsvc-squashfs.socket", "[Socket]\nMaxConnections=7\n"):
        assert the_row(machine, "squashfs")["limit"] == 7


def test_a_masked_unit_is_said_to_be(machine):
    machine.run("systemctl", "mask", "fsvc-zip.socket")
    try:
        row = the_row(machine, "zip")
        assert (row["enabled"], row["state"]) == ("masked", "not-listening")
    finally:
        machine.run("systemctl", "unmask", "fsvc-zip.socket")


@pytest.mark.parametrize("name", ["fsvc-net-probe", "elsewhere"])
def test_a_unit_is_known_by_where_it_listens(machine, name):
    write_units(machine, name, "/run/filesystems/probed", "ExecStart=/usr/bin/own-server --fast", "Accept=yes")
    machine.run("systemctl", "start", f"{name}.socket")
    try:
        row = the_row(machine, "probed")
        assert (row["unit"], row["enabled"], row["server"]) == (f"{name}.socket", "static", "own-server")
        assert row["state"] == "ready"
    finally:
        remove_units(machine, name, "/run/filesystems/probed")


def test_a_socket_without_a_unit_is_shown_too(machine):
    program = """if True:
        import socket, subprocess
        door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        door.bind("/run/filesystems/alone")
        door.listen()
        print(subprocess.run(["fsvc-probe", "-J"], capture_output=True, text=True).stdout)"""
    rows = json.loads(machine.run("/usr/bin/python3", "-c", program).stdout)["services"]
    row, = [row for row in rows if row["type"] == "alone"]
    assert (row["state"], row["unit"], row["enabled"], row["limit"], row["server"]) == ("ready", *[None] * 4)
    assert the_row(machine, "alone")["state"] == "not-listening"
    machine.path("/run/filesystems/alone").unlink()


def test_a_type_that_is_hostile_to_the_terminal_is_shown_harmlessly(machine):
    write_units(machine, "fsvc-evil", f"/run/filesystems/{HOSTILE}", "ExecStart=/usr/bin/evil\x1b]0;title\x07")
    machine.run("systemctl", "start", "fsvc-evil.socket")
    try:
        for words in [], ["-r"], ["-J"], ["-O"], [HOSTILE], ["--hello", HOSTILE]:
            done = machine.run("fsvc-probe", *words, check=False)
            text = done.stdout + done.stderr
            assert all(line.isprintable() for line in text.splitlines())
            assert "evil\\x1b[2Jred" in text.replace("\\\\", "\\")
    finally:
        remove_units(machine, "fsvc-evil")


# a type in detail


def details(machine, kind):
    lines = machine.run("fsvc-probe", kind).stdout.splitlines()
    found, name = {}, None
    for line in lines:
        label, text = re.match(r"(?:(\w+):)? +(.*)", line).groups()
        name = label or name
        found.setdefault(name, []).append(text)
    return found


def test_a_sandbox_is_told_in_words(machine):
    found = details(machine, "squashfs")
    assert {"no network", "no capabilities", "no devices", "a separate user for each mount", "at most 1G of memory",
            "at most 256 processes and threads"} <= set(found["sandbox"])
    assert "open" not in found
    assert found["service"] == ["fsvc-squashfs@.service"]
    row, = probe(machine, "squashfs")
    assert row["sandbox"] == found["sandbox"] and row["open"] == []


def test_the_exposure_is_that_of_systemd_analyze(machine):
    report = machine.run("systemd-analyze", "security", "--no-pager", "fsvc-squashfs@.service").stdout
    figure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", report)[1]
    row, = probe(machine, "squashfs")
    assert row["exposure"] == float(figure) < 1
    assert details(machine, "squashfs")["exposure"] == [figure]


def test_without_systemd_analyze_there_is_no_figure(machine):
    hide = ("unshare", "--mount", "sh", "-c", 'mount --bind /dev/null "$(which systemd-analyze)"; exec "$@"', "sh")
    row, = probe(machine, "squashfs", user=hide)
    assert row["exposure"] is None and "no network" in row["sandbox"]


def test_what_a_drop_in_opens_is_told(machine):
    more = "[Service]\nPrivateNetwork=no\nMemoryMax=infinity\nTasksMax=5\nCapabilityBoundingSet=CAP_CHOWN\n"
    with drop_in(machine, "fsvc-squashfs@.service", more):
        row, = probe(machine, "squashfs")
        assert set(row["open"]) == {"the network", "unlimited memory", "capabilities"}
        assert "at most 5 processes and threads" in row["sandbox"] and "no network" not in row["sandbox"]


def test_a_service_without_a_sandbox_is_all_open(machine):
    write_units(machine, "elsewhere", "/run/filesystems/bare", "ExecStart=/bin/true", "Accept=yes")
    machine.run("systemctl", "start", "elsewhere.socket")
    try:
        row, = probe(machine, "bare")
        assert {"the network", "capabilities", "devices", "the root directory of the system"} <= set(row["open"])
        assert not {"no network", "no capabilities"} & set(row["sandbox"])
        assert row["exposure"] > 9
    finally:
        remove_units(machine, "elsewhere", "/run/filesystems/bare")


def test_a_socket_without_its_service_has_no_sandbox(machine):
    write_units(machine, "fsvc-half", "/run/filesystems/half")
    try:
        row, = probe(machine, "half")
        assert (row["server"], row["sandbox"], row["open"], row["exposure"]) == (None,) * 4
    finally:
        remove_units(machine, "fsvc-half")


# mounts


def test_a_mount_is_shown_with_its_unit_and_server(machine):
    before = int(time.time())
    mount(machine)
    unit, = services_that_run(machine)
    main = machine.run("systemctl", "show", "--property=MainPID", "--value", unit).stdout.strip()
    row, = probe(machine, "-m", of="mounts")
    memory, since = row.pop("memory"), row.pop("since")
    assert row == {"source": "/images/small.img", "target": "/images/mnt", "type": "squashfs", "user": "root",
                   "pid": int(main), "unit": unit}
    # of fsvc-open and of the server
    pids = machine.run("pgrep", "-f", "squashfuse").stdout.split()
    pages = [int(machine.path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
    assert len(pids) == 2 and memory == pytest.approx(sum(pages) * 4096, rel=0.3)
    stamp = int(machine.run("date", "-d", since, "+%s").stdout)
    assert before - 2 <= stamp <= time.time() + 1
    assert probe(machine, "-m", "ext4", of="mounts") == []


def test_a_mount_in_a_table_is_readable(machine):
    mount(machine)
    heading, row = machine.run("fsvc-probe", "-m").stdout.splitlines()
    assert heading.split() == ["SOURCE", "TARGET", "TYPE", "USER", "PID", "UNIT", "MEMORY", "SINCE"]
    assert re.search(r" fsvc-squashfs@\S+\.service +[0-9.]+[KM] \d{4}-\d\d-\d\dT", row)


@pytest.mark.parametrize("end", ["systemctl stop {unit}", "kill -KILL {pid}"])
def test_a_mount_whose_server_has_ended_is_shown_without_one(machine, end):
    mount(machine)
    row, = probe(machine, "-m", of="mounts")
    machine.run(*end.format(**row).split())
    wait_for(lambda: services_that_run(machine) == [], 30, "the end of the service")
    assert probe(machine, "-m", of="mounts") == [row | {"pid": None, "unit": None, "memory": None}]
    machine.run("umount", "/images/mnt")
    assert probe(machine, "-m", of="mounts") == []


# shaking hands


def test_real_services_shake_hands_and_are_left(machine):
    row, = probe(machine, "--hello", "squashfs")
    assert (row["state"], row["version"], row["failure"]) == ("ready", 1, None) and 0 < row["time"] < 30
    machine.run("systemctl", "start", "fsvc-single_file_ll.socket", "fsvc-ext4.socket")
    try:
        rows = probe(machine, "--hello")
        assert {row["type"]: row["version"] for row in rows} == {"ext4": 1, "single_file_ll": 1, "squashfs": 1}
    finally:
        machine.run("systemctl", "stop", "fsvc-single_file_ll.socket", "fsvc-ext4.socket")
    assert [mount for mount in mounts.mountinfo(machine.leader) if mount.type.startswith("fuse")] == []


def test_a_service_that_cannot_start_is_told(machine):
    write_units(machine, "fsvc-gone", "/run/filesystems/gone", "ExecStart=/usr/bin/there-is-no-such-server")
    machine.run("systemctl", "start", "fsvc-gone.socket")
    try:
        row, = probe(machine, "--hello", "gone", code=1)
        assert (row["version"], row["failure"]) == (None, "closed the connection without an answer")
    finally:
        remove_units(machine, "fsvc-gone")


# a systemd that cannot be asked


def test_without_libsystemd_the_columns_are_empty(machine):
    hide = ("unshare", "--mount", "sh", "-c",
            'mount --bind /dev/null "$(readlink -f /usr/lib/*/libsystemd.so.0)"; exec "$@"', "sh")
    rows = probe(machine, user=hide)
    assert rows == [{"type": "squashfs", "state": "ready", "socket": "/run/filesystems/squashfs", "unit": None,
                     "enabled": None, "mounts": 0, "limit": None, "server": None}]


def test_without_a_bus_root_asks_all_the_same_and_others_are_warned(machine):
    hide = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run/dbus; exec "$@"', "sh")
    assert the_row(machine, "squashfs", user=hide)["unit"] == "fsvc-squashfs.socket"
    for who in (*hide, *USER), STRANGER:
        done = machine.run(*who, "fsvc-probe", "-J", check=False)
        assert done.returncode == 0 and json.loads(done.stdout)["services"][0]["unit"] is None
        line, = done.stderr.splitlines()
        assert "warning: cannot ask systemd" in line
