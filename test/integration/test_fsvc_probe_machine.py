# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-probe in a machine with systemd: units, limits, sandboxes and mounts."""

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
UNKNOWN_USER = ("setpriv", "--reuid=4242", "--regid=4242", "--clear-groups")  # a user that does not exist, which the bus refuses
HOSTILE = "evil\x1b[2Jred"


@pytest.fixture(scope="module")
def machine():
    with installed_machine() as machine:
        machine.run("systemctl", "enable", "--now", "fsvc-squashfs.socket")
        machine.run("sh", "-c", "mkdir -p /images/mnt /images/other && cd /images && echo small >small &&"
                    "mksquashfs small small.img -quiet -no-progress && chmod 644 small.img")
        yield machine


@pytest.fixture(autouse=True)
def nothing_is_left(machine):
    yield
    for mount in reversed(mounts.mountinfo(machine.leader)):
        if mount.type.startswith("fuse"):
            machine.run("umount", mount.mountpoint)
    wait_for(lambda: running_services(machine) == [], 30, "the end of all services")
    assert machine.run("systemctl", "--failed", "--plain", "--no-legend").stdout == ""


def running_services(machine):
    listed = machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "fsvc-*.service").stdout
    return [line.split()[0] for line in listed.splitlines()]


def probe(machine, *arguments, user=(), of="services", code=0):
    done = machine.run(*user, "fsvc-probe", "--json", *arguments, check=False)
    assert (done.returncode, done.stderr) == (code, ""), done
    return json.loads(done.stdout)[of]


def service_row(machine, kind, *arguments, **options):
    row, = [row for row in probe(machine, *arguments, **options) if row["type"] == kind]
    return row


def mount(machine, target="/images/mnt", kind="squashfs", *arguments):
    machine.run("fuservicemount3", "/images/small.img", target, "-t", kind, *arguments)


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


def test_stopped_socket_is_not_listening(machine):
    machine.run("systemctl", "stop", "fsvc-squashfs.socket")
    try:
        row = service_row(machine, "squashfs")
        assert (row["state"], row["enabled"], row["limit"]) == ("not-listening", "enabled", 4096)
    finally:
        machine.run("systemctl", "start", "fsvc-squashfs.socket")


def test_all_installed_socket_units_are_listed(machine):
    installed = machine.run("systemctl", "list-unit-files", "--no-legend", "fsvc-*.socket").stdout
    units = {line.split()[0]: line.split()[1] for line in installed.splitlines()}
    rows = probe(machine)
    assert len(rows) == len(units) > 10
    assert {row["unit"]: row["enabled"] for row in rows} == units
    assert all(row["unit"] == f"fsvc-{row['type']}.socket" for row in rows)
    assert all(row["socket"] == f"/run/filesystems/{row['type']}" for row in rows)


def test_probe_marks_types_with_running_services(machine):
    assert service_row(machine, "squashfs") == {
        "type": "squashfs", "state": "ready", "socket": "/run/filesystems/squashfs", "unit": "fsvc-squashfs.socket",
        "enabled": "enabled", "mounts": 0, "limit": 4096, "server": "squashfuse"}
    assert service_row(machine, "ext4") == {
        "type": "ext4", "state": "not-listening", "socket": "/run/filesystems/ext4", "unit": "fsvc-ext4.socket",
        "enabled": "disabled", "mounts": 0, "limit": 4096, "server": "fuse2fs"}
    assert service_row(machine, "single_file_ll")["server"] == "single_file_ll"  # a server without fsvc-open


def test_probe_starts_and_loads_no_units(machine):
    before = machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend").stdout
    jobs = machine.run("journalctl", "-o", "cat", "-u", "fsvc-*").stdout
    for arguments in [], ["-O"], ["squashfs"], ["-m"]:
        machine.run("fsvc-probe", *arguments)
    wait_for(lambda: machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend").stdout == before)
    assert machine.run("journalctl", "-o", "cat", "-u", "fsvc-*").stdout == jobs


def test_unprivileged_user_sees_same_services_as_refused(machine):
    rows = probe(machine, user=USER)
    assert service_row(machine, "squashfs", user=USER)["state"] == "refused"
    assert [row | {"state": ""} for row in rows] == [row | {"state": ""} for row in probe(machine)]
    for user, code in ((), 0), (USER, 1):
        assert machine.run(*user, "fsvc-probe", "--check", "squashfs", check=False).returncode == code
    assert machine.run("fsvc-probe", "--check", "ext4", check=False).returncode == 1


def test_mounts_are_counted(machine):
    mount(machine)
    mount(machine, "/images/other")
    row = service_row(machine, "squashfs", "-O")
    assert (row["mounts"], row["connections"]) == (2, 2)


@contextlib.contextmanager
def drop_in(machine, unit, text):
    """Add a drop-in to a unit, as an administrator does."""
    path = machine.path(f"{UNITS}/{unit}.d/50-ours.conf")
    path.parent.mkdir()
    path.write_text(text)
    machine.run("systemctl", "daemon-reload")
    try:
        yield
    finally:
        shutil.rmtree(path.parent)
        machine.run("systemctl", "daemon-reload")


def test_limit_of_drop_in_is_shown(machine):
    with drop_in(machine, "fsvc-squashfs.socket", "[Socket]\nMaxConnections=7\n"):
        assert service_row(machine, "squashfs")["limit"] == 7


def test_masked_unit_is_shown_as_masked(machine):
    machine.run("systemctl", "mask", "fsvc-zip.socket")
    try:
        row = service_row(machine, "zip")
        assert (row["enabled"], row["state"]) == ("masked", "not-listening")
    finally:
        machine.run("systemctl", "unmask", "fsvc-zip.socket")


@pytest.mark.parametrize("name", ["fsvc-net-probe", "elsewhere"])
def test_unit_is_found_by_its_socket_path(machine, name):
    write_units(machine, name, "/run/filesystems/probed", "ExecStart=/usr/bin/own-server --fast", "Accept=yes")
    machine.run("systemctl", "start", f"{name}.socket")
    try:
        row = service_row(machine, "probed")
        assert (row["unit"], row["enabled"], row["server"]) == (f"{name}.socket", "static", "own-server")
        assert row["state"] == "ready"
    finally:
        remove_units(machine, name, "/run/filesystems/probed")


def test_socket_without_unit_is_shown(machine):
    program = """if True:
        import socket, subprocess
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind("/run/filesystems/alone")
        listener.listen()
        print(subprocess.run(["fsvc-probe", "-J"], capture_output=True, text=True).stdout)"""
    rows = json.loads(machine.run("/usr/bin/python3", "-c", program).stdout)["services"]
    row, = [row for row in rows if row["type"] == "alone"]
    assert (row["state"], row["unit"], row["enabled"], row["limit"], row["server"]) == ("ready", *[None] * 4)
    assert service_row(machine, "alone")["state"] == "not-listening"
    machine.path("/run/filesystems/alone").unlink()


def test_control_characters_of_type_and_unit_are_escaped(machine):
    write_units(machine, "fsvc-evil", f"/run/filesystems/{HOSTILE}", "ExecStart=/usr/bin/evil\x1b]0;title\x07")
    machine.run("systemctl", "start", "fsvc-evil.socket")
    try:
        for arguments in [], ["-r"], ["-J"], ["-O"], [HOSTILE], ["--hello", HOSTILE]:
            done = machine.run("fsvc-probe", *arguments, check=False)
            text = done.stdout + done.stderr
            assert all(line.isprintable() for line in text.splitlines())
            assert "evil\\x1b[2Jred" in text.replace("\\\\", "\\")
    finally:
        remove_units(machine, "fsvc-evil")


# details of a type


def details(machine, kind):
    lines = machine.run("fsvc-probe", kind).stdout.splitlines()
    found, name = {}, None
    for line in lines:
        label, text = re.match(r"(?:(\w+):)? +(.*)", line).groups()
        name = label or name
        found.setdefault(name, []).append(text)
    return found


def test_sandbox_is_described(machine):
    found = details(machine, "squashfs")
    assert {"no network", "no capabilities", "no devices", "a separate user for each mount", "at most 1G of memory",
            "at most 256 processes and threads"} <= set(found["sandbox"])
    assert "open" not in found
    assert found["service"] == ["fsvc-squashfs@.service"]
    row, = probe(machine, "squashfs")
    assert row["sandbox"] == found["sandbox"] and row["open"] == []


def test_exposure_is_that_of_systemd_analyze(machine):
    report = machine.run("systemd-analyze", "security", "--no-pager", "fsvc-squashfs@.service").stdout
    figure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", report)[1]
    row, = probe(machine, "squashfs")
    assert row["exposure"] == float(figure) < 1
    assert details(machine, "squashfs")["exposure"] == [figure]


def test_exposure_is_missing_without_systemd_analyze(machine):
    hide = ("unshare", "--mount", "sh", "-c", 'mount --bind /dev/null "$(which systemd-analyze)"; exec "$@"', "sh")
    row, = probe(machine, "squashfs", user=hide)
    assert row["exposure"] is None and "no network" in row["sandbox"]


def test_drop_in_that_weakens_sandbox_is_reported(machine):
    more = "[Service]\nPrivateNetwork=no\nMemoryMax=infinity\nTasksMax=5\nCapabilityBoundingSet=CAP_CHOWN\n"
    with drop_in(machine, "fsvc-squashfs@.service", more):
        row, = probe(machine, "squashfs")
        assert set(row["open"]) == {"the network", "unlimited memory", "capabilities"}
        assert "at most 5 processes and threads" in row["sandbox"] and "no network" not in row["sandbox"]


def test_unit_without_sandbox_is_reported(machine):
    write_units(machine, "elsewhere", "/run/filesystems/bare", "ExecStart=/bin/true", "Accept=yes")
    machine.run("systemctl", "start", "elsewhere.socket")
    try:
        row, = probe(machine, "bare")
        assert {"the network", "capabilities", "devices", "the root directory of the system"} <= set(row["open"])
        assert not {"no network", "no capabilities"} & set(row["sandbox"])
        assert row["exposure"] > 9
    finally:
        remove_units(machine, "elsewhere", "/run/filesystems/bare")


def test_socket_unit_without_service_unit_has_no_sandbox(machine):
    write_units(machine, "fsvc-half", "/run/filesystems/half")
    try:
        row, = probe(machine, "half")
        assert (row["server"], row["sandbox"], row["open"], row["exposure"]) == (None,) * 4
    finally:
        remove_units(machine, "fsvc-half")


# mounts


def test_mount_is_shown_with_its_unit_and_server(machine):
    before = int(time.time())
    mount(machine)
    unit, = running_services(machine)
    main = machine.run("systemctl", "show", "--property=MainPID", "--value", unit).stdout.strip()
    row, = probe(machine, "-m", of="mounts")
    memory, since = row.pop("memory"), row.pop("since")
    assert row == {"source": "/images/small.img", "target": "/images/mnt", "type": "squashfs", "user": "root",
                   "pid": int(main), "unit": unit}
    # the memory of fsvc-open and of the server
    pids = machine.run("pgrep", "-f", "squashfuse").stdout.split()
    pages = [int(machine.path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
    assert len(pids) == 2 and memory == pytest.approx(sum(pages) * 4096, rel=0.3)
    stamp = int(machine.run("date", "-d", since, "+%s").stdout)
    assert before - 2 <= stamp <= time.time() + 1
    assert probe(machine, "-m", "ext4", of="mounts") == []


def test_mounts_are_shown_as_table(machine):
    mount(machine)
    heading, row = machine.run("fsvc-probe", "-m").stdout.splitlines()
    assert heading.split() == ["SOURCE", "TARGET", "TYPE", "USER", "PID", "UNIT", "MEMORY", "SINCE"]
    assert re.search(r" fsvc-squashfs@\S+\.service +[0-9.]+[KM] \d{4}-\d\d-\d\dT", row)


@pytest.mark.parametrize("command", ["systemctl stop {unit}", "kill -KILL {pid}"])
def test_mount_of_exited_server_is_shown_without_process(machine, command):
    mount(machine)
    row, = probe(machine, "-m", of="mounts")
    machine.run(*command.format(**row).split())
    wait_for(lambda: running_services(machine) == [], 30, "the end of the service")
    assert probe(machine, "-m", of="mounts") == [row | {"pid": None, "unit": None, "memory": None}]
    machine.run("umount", "/images/mnt")
    assert probe(machine, "-m", of="mounts") == []


# handshakes


def test_hello_succeeds_for_shipped_services(machine):
    row, = probe(machine, "--hello", "squashfs")
    assert (row["state"], row["version"], row["failure"]) == ("ready", 1, None) and 0 < row["time"] < 30
    machine.run("systemctl", "start", "fsvc-single_file_ll.socket", "fsvc-ext4.socket")
    try:
        rows = probe(machine, "--hello")
        assert {row["type"]: row["version"] for row in rows} == {"ext4": 1, "single_file_ll": 1, "squashfs": 1}
    finally:
        machine.run("systemctl", "stop", "fsvc-single_file_ll.socket", "fsvc-ext4.socket")
    assert [mount for mount in mounts.mountinfo(machine.leader) if mount.type.startswith("fuse")] == []


def test_hello_reports_service_that_cannot_start(machine):
    write_units(machine, "fsvc-gone", "/run/filesystems/gone", "ExecStart=/usr/bin/there-is-no-such-server")
    machine.run("systemctl", "start", "fsvc-gone.socket")
    try:
        row, = probe(machine, "--hello", "gone", code=1)
        assert (row["version"], row["failure"]) == (None, "closed the connection without an answer")
    finally:
        remove_units(machine, "fsvc-gone")


# without access to systemd


def test_columns_of_systemd_are_empty_without_libsystemd(machine):
    hide = ("unshare", "--mount", "sh", "-c",
            'mount --bind /dev/null "$(readlink -f /usr/lib/*/libsystemd.so.0)"; exec "$@"', "sh")
    rows = probe(machine, user=hide)
    assert rows == [{"type": "squashfs", "state": "ready", "socket": "/run/filesystems/squashfs", "unit": None,
                     "enabled": None, "mounts": 0, "limit": None, "server": None}]


def test_root_needs_no_bus_and_users_are_warned_without_bus(machine):
    hide = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run/dbus; exec "$@"', "sh")
    assert service_row(machine, "squashfs", user=hide)["unit"] == "fsvc-squashfs.socket"
    for prefix in (*hide, *USER), UNKNOWN_USER:
        done = machine.run(*prefix, "fsvc-probe", "-J", check=False)
        assert done.returncode == 0 and json.loads(done.stdout)["services"][0]["unit"] is None
        line, = done.stderr.splitlines()
        assert re.search("warning: cannot (connect to|list the units of) systemd", line)
