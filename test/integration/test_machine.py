# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc in a machine with systemd: installed like a package, and mounted as a user does."""

import json
import re
import time

import pytest

from kit import mounts
from kit.installed_machine import installed_machine
from kit.throwaway_machine import REPO
from kit.waiting import wait_for

SERVICES = ("squashfs", "single_file_ll", "single_file_hl")
UNITS = "/etc/systemd/system"
DYNAMIC_USER = 61184  # the first user ID for DynamicUser=

# Unit files of an administrator, which do not configure a sandbox.
SOCKET = """[Socket]
ListenSequentialPacket=/run/filesystems/{0}
"""
SERVICE = """[Service]
ExecStart={0}
"""


@pytest.fixture(scope="module")
def machine():
    with installed_machine() as machine:
        machine.run("systemctl", "enable", "--now", *(f"fsvc-{name}.socket" for name in SERVICES))
        machine.run("sh", "-c", "mkdir -p /images/tree/deep/er /images/mnt && cd /images/tree &&"
                    "head -c 3000000 /dev/urandom >deep/noise && seq 100000 >deep/er/numbers && touch empty &&"
                    "ln -s deep/noise link && cd .. && mksquashfs tree tree.img -quiet -no-progress &&"
                    "echo small >small && mksquashfs small small.img -quiet -no-progress && chmod 644 *.img")
        yield machine


@pytest.fixture(autouse=True)
def nothing_is_left(machine):
    """Check that no unit, mount or process is left."""
    yield
    wait_for(lambda: not instances(machine), 30, "the end of all services")
    assert {kind: found for kind, found in leftovers(machine).items() if found} == {}


def leftovers(machine):
    """Return everything that a mount could leave behind."""
    table = machine.path("/run/mount/utab")
    return {
        "mounts": [mount for mount in mounts.mountinfo(machine.leader) if mount.type.startswith("fuse")],
        "entries of the mount table": table.exists() and table.read_text(),
        "processes": [path.name for path in machine.path("/proc").glob("[0-9]*") if path.stat().st_uid >= DYNAMIC_USER],
        "failed units": machine.run("systemctl", "--failed", "--plain", "--no-legend").stdout,
    }


@pytest.fixture
def tree(machine):
    """A mounted image."""
    mount(machine, "squashfs", "/images/tree.img")
    yield "/images/mnt"
    machine.run("umount", "/images/mnt")


def mount(machine, subtype, source, target="/images/mnt", check=True):
    return machine.run("fuservicemount3", source, target, "-t", subtype, check=check)


def instances(machine):
    """Return the services, also inactive ones."""
    listed = machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "fsvc-*.service").stdout
    return [line.split()[0] for line in listed.splitlines()]


def server_pid(machine, name="squashfuse"):
    """Return the pid of the only server. The main process of the service may be fsvc-open."""
    return machine.run("pgrep", "-x", name).stdout.strip()


def log_of_error_message(machine, failed):
    """Run the journalctl command of the error message."""
    line, = failed.stderr.splitlines()
    command = re.search(r"journalctl -u '[^']+'", line)
    assert command, line
    machine.run("journalctl", "--sync")
    return machine.run("sh", "-c", command[0]).stdout


def add_service(machine, name, program):
    """Add units for a server, as an administrator does."""
    machine.path(f"{UNITS}/fsvc-{name}.socket").write_text(SOCKET.format(name))
    machine.path(f"{UNITS}/fsvc-{name}@.service").write_text(SERVICE.format(program))
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", f"fsvc-{name}.socket")


# mounting


def test_all_files_of_image_are_in_mount(machine, tree):
    machine.run("diff", "--recursive", "--no-dereference", "/images/tree", tree)
    shown = machine.run("findmnt", "-no", "FSTYPE,SOURCE,OPTIONS", tree).stdout.split()
    assert shown[:2] == ["fuse.squashfs", "/images/tree.img"]
    assert {"ro", "nosuid", "nodev"} <= set(shown[2].split(","))


def test_service_exits_after_unmount(machine):
    mount(machine, "squashfs", "/images/tree.img")
    pid = server_pid(machine)
    machine.run("umount", "/images/mnt")
    wait_for(lambda: not machine.path(f"/proc/{pid}").exists(), what="the end of the server")


def test_utab_names_main_process_of_service(machine, tree):
    """Not systemd, which has accepted the connection."""
    unit, = instances(machine)
    main = machine.run("systemctl", "show", "--property=MainPID", "--value", unit).stdout.strip()
    assert f" ATTRS=fsvc.server={main}:" in machine.path("/run/mount/utab").read_text()


@pytest.mark.parametrize("on", ["file", "loop"])
@pytest.mark.parametrize("subtype", ["single_file_ll", "single_file_hl"])
def test_sample_server_reads_and_writes(machine, subtype, on):
    machine.run("sh", "-c", "seq 100000 | head -c 524288 >/images/source")
    source = machine.loop("/images/source") if on == "loop" else "/images/source"
    mount(machine, subtype, source)
    machine.run("cmp", "/images/source", "/images/mnt/single_file")
    machine.run("dd", "of=/images/mnt/single_file", "seek=1000", "bs=16", "conv=notrunc,fsync", input="written\n")
    machine.run("umount", "/images/mnt")
    assert machine.run("dd", f"if={source}", "skip=1000", "bs=16", "count=1").stdout.startswith("written\n")


def test_killed_server_ends_only_its_own_mount(machine, tree):
    pid = server_pid(machine)
    machine.run("mkdir", "-p", "/images/other")
    mount(machine, "squashfs", "/images/small.img", "/images/other")
    machine.run("kill", "-KILL", pid)
    wait_for(lambda: len(instances(machine)) == 1, what="the end of the killed service")
    assert machine.run("cat", f"{tree}/empty", check=False).returncode
    assert machine.run("cat", "/images/other/small").stdout == "small\n"
    machine.run("umount", "/images/other")


# failures


def test_error_message_names_log_of_failed_server(machine):
    machine.run("sh", "-c", "head -c 100000 /dev/urandom >/images/noise.img")
    failed = mount(machine, "squashfs", "/images/noise.img", check=False)
    assert failed.returncode == 1
    assert "squashfs" in log_of_error_message(machine, failed)


def test_error_message_names_log_of_missing_program(machine):
    add_service(machine, "gone", "/usr/bin/there-is-no-such-server")
    failed = mount(machine, "gone", "/images/tree.img", check=False)
    assert failed.returncode == 1
    assert "203/EXEC" in log_of_error_message(machine, failed)


def test_no_service_without_socket(machine):
    check = ("fuservicemount3", "-t", "fuse.squashfs", "--check")
    machine.run(*check)
    machine.run("systemctl", "stop", "fsvc-squashfs.socket")
    try:
        assert machine.run(*check, check=False).returncode == 1
        assert mount(machine, "squashfs", "/images/tree.img", check=False).returncode == 2
    finally:
        machine.run("systemctl", "start", "fsvc-squashfs.socket")


# the sandbox


def test_server_has_no_privileges(machine, tree):
    status = dict(re.findall(r"^(\w+):\s+(.*)$", machine.path(f"/proc/{server_pid(machine)}/status").read_text(), re.M))
    assert all(int(uid) >= DYNAMIC_USER for uid in status["Uid"].split() + status["Gid"].split())
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_server_has_no_network(machine, tree):
    pid = server_pid(machine)
    net = f"/proc/{pid}/ns/net"
    assert machine.run("readlink", net).stdout != machine.run("readlink", "/proc/1/ns/net").stdout
    devices = machine.run("nsenter", f"--net={net}", "cat", "/proc/net/dev").stdout.splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]


def test_root_directory_of_server_contains_only_programs(machine, tree):
    pid = server_pid(machine)
    root = machine.path(f"/proc/{pid}/root")
    assert {path.name for path in root.iterdir()} <= {"bin", "dev", "etc", "fsvc", "lib", "lib64", "proc", "root", "run",
                                                      "sys", "usr", "var"}
    assert {path.name for path in (root / "etc").iterdir()} == {"ld.so.cache", "localtime", "passwd"}
    users = [line.split(":")[0] for line in (root / "etc/passwd").read_text().splitlines()]
    assert [user for user in users if not user.startswith("fsvc")] == ["root", "nobody"]  # users of the sandbox only
    assert all(not list((root / name).iterdir()) for name in ("root", "sys", "var"))
    writable = [line.split()[4] for line in machine.path(f"/proc/{pid}/mountinfo").read_text().splitlines()
                if line.split()[5].startswith("rw")]
    assert writable == ["/proc"]  # it only shows its own processes


def test_attacks_of_server_fail_in_sandbox(machine):
    """In a service with five lines of units, and outside, where the attacks must succeed."""
    attacker = machine.path("/usr/local/lib/attacker.py")
    attacker.write_text((REPO / "test/integration/kit/taken_over_server.py").read_text())
    machine.path("/etc/secret").write_text("secret\n")
    add_service(machine, "attacker", "/usr/bin/python3 -I /usr/local/lib/attacker.py")
    outside = json.loads(machine.run("/usr/bin/python3", "-I", "/usr/local/lib/attacker.py").stdout)
    assert len(outside) > 25
    assert {attempt: outcome for attempt, outcome in outside.items() if outcome != "done"} == {}
    inside = json.loads(machine.run("/usr/bin/python3", "-c", """if True:
        import socket
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect("/run/filesystems/attacker")
        print(connection.recv(65536).decode())""").stdout)
    assert inside.keys() == outside.keys()
    assert [attempt for attempt, outcome in inside.items() if outcome == "done"] == []
    # With "<0>" before a line, the log would send it to all terminals.
    machine.run("journalctl", "--sync")
    lines = machine.run("journalctl", "-u", "fsvc-attacker@*", "-o", "json", "--output-fields=MESSAGE,PRIORITY").stdout
    logged, = [entry for entry in map(json.loads, lines.splitlines()) if "everybody" in entry["MESSAGE"]]
    assert logged["PRIORITY"] == "6"


@pytest.fixture
def drop_in(machine):
    """Add a drop-in to the units of a type, and remove it after the test."""
    added = []

    def drop_in(name, text):
        path = machine.path(f"{UNITS}/fsvc-{name}@.service.d/50-more.conf")
        path.parent.mkdir()
        added.append(path)
        path.write_text(text)

    yield drop_in
    for path in added:
        path.unlink()
    machine.run("systemctl", "daemon-reload")


def test_service_without_part_of_sandbox_does_not_start(machine, drop_in):
    drop_in("lost", "[Service]\nDynamicUser=no\nUser=nobody\nRootDirectory=\nProtectSystem=no\n")
    add_service(machine, "lost", "/usr/bin/fsvc-open -- squashfuse -f")
    failed = mount(machine, "lost", "/images/tree.img", check=False)
    assert failed.returncode == 1
    assert "refused to run squashfuse: the service has a writable root directory" in log_of_error_message(machine, failed)


def test_two_servers_of_a_type_have_different_user_ids(machine, tree):
    """Processes with the same user ID can signal and trace each other."""
    machine.run("mkdir", "-p", "/images/other")
    mount(machine, "squashfs", "/images/small.img", "/images/other")
    users = [machine.path(f"/proc/{pid}").stat().st_uid for pid in server_pid(machine).split()]
    machine.run("umount", "/images/other")
    assert len(users) == len(set(users)) == 2


def test_systemd_analyze_rates_exposure_as_low(machine):
    listed = machine.run("systemctl", "list-unit-files", "--no-legend", "fsvc-*@.service").stdout
    names = {line.split()[0] for line in listed.splitlines()}
    assert names >= {f"fsvc-{name}@.service" for name in SERVICES}
    highest = 0.6 if systemd_version(machine) < 249 else 0.5  # before 249, RestrictAddressFamilies=none does not exist
    for name in names:
        report = machine.run("systemd-analyze", "security", "--no-pager", name).stdout
        assert float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", report)[1]) <= highest, report


def unknown_before(version):
    """Return the settings that this version of systemd does not know, from doc/services.md."""
    table = re.findall(r"^\| before (\d+) \| `(\S+)` \|", (REPO / "doc/services.md").read_text(), re.M)
    assert table
    return {line for since, line in table if version < int(since)}


def test_systemd_analyze_finds_only_documented_unknown_settings(machine):
    """Other warnings would mean that a setting is ignored."""
    units = [f"fsvc-{name}{kind}" for name in SERVICES for kind in (".socket", "@.service")]
    found = machine.run("systemd-analyze", "verify", *units, check=False)
    complaints = re.findall(r"(/\S+):(\d+): (.*)", found.stdout + found.stderr)
    assert len(complaints) == len((found.stdout + found.stderr).splitlines())
    ignored = {machine.path(path).read_text().splitlines()[int(number) - 1] for path, number, _ in complaints}
    assert ignored == unknown_before(systemd_version(machine))


def systemd_version(machine):
    return int(machine.run("systemctl", "--version").stdout.split()[1])


# many mounts


def test_many_connections_do_not_stop_socket(machine):
    """By default, systemd stops a socket after 200 connections in two seconds."""
    machine.run("/usr/bin/python3", "-c", """if True:
        import socket
        for _ in range(300):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
                connection.connect("/run/filesystems/squashfs")""")
    wait_for(lambda: not instances(machine), 120, "the end of all services")
    assert machine.run("systemctl", "is-active", "fsvc-squashfs.socket").stdout == "active\n"
    machine.run("sh", "-c", "systemctl reset-failed")


@pytest.mark.timeout(1800)
def test_thousand_mounts_at_the_same_time(machine):
    each = "seq 1000 | xargs -P 4 -I@ "
    started = time.monotonic()
    machine.run("sh", "-c", each + "sh -c 'mkdir -p /images/many/@ &&"
                " fuservicemount3 /images/small.img /images/many/@ -t squashfs'", timeout=900)
    mounted = time.monotonic()
    assert machine.run("sh", "-c", each + "cat /images/many/@/small").stdout == "small\n" * 1000
    assert len(instances(machine)) == 1000
    machine.run("sh", "-c", each + "umount /images/many/@", timeout=900)
    wait_for(lambda: not instances(machine), 120, "the end of all services")
    print(f"a thousand mounts: {mounted - started:.0f} s, unmounted after {time.monotonic() - mounted:.0f} s")
