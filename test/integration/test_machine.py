# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole of it in a machine with a real systemd: installed as a package would, mounted as a person would."""

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
DYNAMIC_USER = 61184  # the first uid that systemd gives to a DynamicUser

# The unit files of an administrator: nothing in them speaks of a sandbox.
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
def nothing_stays_in_the_machine(machine):
    """Whatever a test does: afterwards neither unit nor mount nor process is left of it."""
    yield
    wait_for(lambda: not instances(machine), 30, "the end of all services")
    assert {what: found for what, found in traces(machine).items() if found} == {}


def traces(machine):
    """What a mount could have left behind."""
    table = machine.path("/run/mount/utab")
    return {
        "mounts": [mount for mount in mounts.mountinfo(machine.leader) if mount.type.startswith("fuse")],
        "entries of the mount table": table.exists() and table.read_text(),
        "processes": [path.name for path in machine.path("/proc").glob("[0-9]*") if path.stat().st_uid >= DYNAMIC_USER],
        "failed units": machine.run("systemctl", "--failed", "--plain", "--no-legend").stdout,
    }


@pytest.fixture
def tree(machine):
    """An image, mounted."""
    mount(machine, "squashfs", "/images/tree.img")
    yield "/images/mnt"
    machine.run("umount", "/images/mnt")


def mount(machine, subtype, source, target="/images/mnt", check=True):
    return machine.run("fuservicemount3", source, target, "-t", subtype, check=check)


def instances(machine):
    """The services that there are, running or not."""
    listed = machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "fsvc-*.service").stdout
    return [line.split()[0] for line in listed.splitlines()]


def the_server(machine, name="squashfuse"):
    """The pid of the only server; the service's main process may be fsvc-open, which started it."""
    return machine.run("pgrep", "-x", name).stdout.strip()


def log_that_is_named(machine, failed):
    """Runs the command for reading the log, exactly as the helper's line says it."""
    line, = failed.stderr.splitlines()
    command = re.search(r"journalctl -u '[^']+'", line)
    assert command, line
    machine.run("journalctl", "--sync")
    return machine.run("sh", "-c", command[0]).stdout


def add_service(machine, name, program):
    """What an administrator does for a server of their own."""
    machine.path(f"{UNITS}/fsvc-{name}.socket").write_text(SOCKET.format(name))
    machine.path(f"{UNITS}/fsvc-{name}@.service").write_text(SERVICE.format(program))
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", f"fsvc-{name}.socket")


# what a person sees


def test_each_file_of_an_image_is_there(machine, tree):
    machine.run("diff", "--recursive", "--no-dereference", "/images/tree", tree)
    shown = machine.run("findmnt", "-no", "FSTYPE,SOURCE,OPTIONS", tree).stdout.split()
    assert shown[:2] == ["fuse.squashfs", "/images/tree.img"]
    assert {"ro", "nosuid", "nodev"} <= set(shown[2].split(","))


def test_unmounting_ends_the_service(machine):
    mount(machine, "squashfs", "/images/tree.img")
    pid = the_server(machine)
    machine.run("umount", "/images/mnt")
    wait_for(lambda: not machine.path(f"/proc/{pid}").exists(), what="the end of the server")


def test_the_mount_table_knows_the_main_process_of_the_service(machine, tree):
    """systemd has accepted the connection, and is not what umount has to wait for."""
    unit, = instances(machine)
    main = machine.run("systemctl", "show", "--property=MainPID", "--value", unit).stdout.strip()
    assert f" ATTRS=fsvc.server={main}:" in machine.path("/run/mount/utab").read_text()


@pytest.mark.parametrize("on", ["file", "loop"])
@pytest.mark.parametrize("subtype", ["single_file_ll", "single_file_hl"])
def test_a_sample_reads_and_writes(machine, subtype, on):
    machine.run("sh", "-c", "seq 100000 | head -c 524288 >/images/source")
    source = machine.loop("/images/source") if on == "loop" else "/images/source"
    mount(machine, subtype, source)
    machine.run("cmp", "/images/source", "/images/mnt/single_file")
    machine.run("dd", "of=/images/mnt/single_file", "seek=1000", "bs=16", "conv=notrunc,fsync", input="written\n")
    machine.run("umount", "/images/mnt")
    assert machine.run("dd", f"if={source}", "skip=1000", "bs=16", "count=1").stdout.startswith("written\n")


def test_a_crash_ends_one_mount_and_no_other(machine, tree):
    pid = the_server(machine)
    machine.run("mkdir", "-p", "/images/other")
    mount(machine, "squashfs", "/images/small.img", "/images/other")
    machine.run("kill", "-KILL", pid)
    wait_for(lambda: len(instances(machine)) == 1, what="the end of the killed service")
    assert machine.run("cat", f"{tree}/empty", check=False).returncode
    assert machine.run("cat", "/images/other/small").stdout == "small\n"
    machine.run("umount", "/images/other")


# what goes wrong


def test_a_server_that_fails_has_its_log_named(machine):
    machine.run("sh", "-c", "head -c 100000 /dev/urandom >/images/noise.img")
    failed = mount(machine, "squashfs", "/images/noise.img", check=False)
    assert failed.returncode == 1
    assert "squashfs" in log_that_is_named(machine, failed)


def test_a_program_that_is_missing_has_its_log_named(machine):
    add_service(machine, "gone", "/usr/bin/there-is-no-such-server")
    failed = mount(machine, "gone", "/images/tree.img", check=False)
    assert failed.returncode == 1
    assert "203/EXEC" in log_that_is_named(machine, failed)


def test_without_a_socket_there_is_no_service(machine):
    check = ("fuservicemount3", "-t", "fuse.squashfs", "--check")
    machine.run(*check)
    machine.run("systemctl", "stop", "fsvc-squashfs.socket")
    try:
        assert machine.run(*check, check=False).returncode == 1
        assert mount(machine, "squashfs", "/images/tree.img", check=False).returncode == 2
    finally:
        machine.run("systemctl", "start", "fsvc-squashfs.socket")


# the sandbox


def test_a_server_has_no_privilege(machine, tree):
    status = dict(re.findall(r"^(\w+):\s+(.*)$", machine.path(f"/proc/{the_server(machine)}/status").read_text(), re.M))
    assert all(int(uid) >= DYNAMIC_USER for uid in status["Uid"].split() + status["Gid"].split())
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_a_server_has_no_network(machine, tree):
    pid = the_server(machine)
    net = f"/proc/{pid}/ns/net"
    assert machine.run("readlink", net).stdout != machine.run("readlink", "/proc/1/ns/net").stdout
    devices = machine.run("nsenter", f"--net={net}", "cat", "/proc/net/dev").stdout.splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]


def test_a_server_sees_programs_and_nothing_else_of_the_disk(machine, tree):
    pid = the_server(machine)
    root = machine.path(f"/proc/{pid}/root")
    assert {path.name for path in root.iterdir()} <= {"bin", "dev", "etc", "fsvc", "lib", "lib64", "proc", "root", "run",
                                                      "sys", "usr", "var"}
    assert {path.name for path in (root / "etc").iterdir()} == {"ld.so.cache", "localtime", "passwd"}
    users = [line.split(":")[0] for line in (root / "etc/passwd").read_text().splitlines()]
    assert [user for user in users if not user.startswith("fsvc")] == ["root", "nobody"]  # not the machine's
    assert all(not list((root / name).iterdir()) for name in ("root", "sys", "var"))
    writable = [line.split()[4] for line in machine.path(f"/proc/{pid}/mountinfo").read_text().splitlines()
                if line.split()[5].startswith("rw")]
    assert writable == ["/proc"]  # its own entries in there, and nobody else's


def test_an_attacker_in_a_server_gets_nowhere(machine):
    """In a service of five lines that an administrator made, and, to see that the attempts are real, outside."""
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
    # "<0>" before a line would have sent it to every terminal
    machine.run("journalctl", "--sync")
    lines = machine.run("journalctl", "-u", "fsvc-attacker@*", "-o", "json", "--output-fields=MESSAGE,PRIORITY").stdout
    shouted, = [entry for entry in map(json.loads, lines.splitlines()) if "everybody" in entry["MESSAGE"]]
    assert shouted["PRIORITY"] == "6"


@pytest.fixture
def drop_in(machine):
    """Adds to the units of a type, for this test alone."""
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


def test_a_service_that_has_lost_a_piece_of_its_sandbox_does_not_start(machine, drop_in):
    drop_in("lost", "[Service]\nDynamicUser=no\nUser=nobody\nRootDirectory=\nProtectSystem=no\n")
    add_service(machine, "lost", "/usr/bin/fsvc-open -- squashfuse -f")
    failed = mount(machine, "lost", "/images/tree.img", check=False)
    assert failed.returncode == 1
    assert "refused to run squashfuse: the service has a writable root directory" in log_that_is_named(machine, failed)


def test_two_servers_of_a_type_have_two_users(machine, tree):
    """Who has another's user can signal it, and read its memory."""
    machine.run("mkdir", "-p", "/images/other")
    mount(machine, "squashfs", "/images/small.img", "/images/other")
    users = [machine.path(f"/proc/{pid}").stat().st_uid for pid in the_server(machine).split()]
    machine.run("umount", "/images/other")
    assert len(users) == len(set(users)) == 2


def test_systemd_rates_the_exposure_of_each_service_as_low(machine):
    listed = machine.run("systemctl", "list-unit-files", "--no-legend", "fsvc-*@.service").stdout
    names = {line.split()[0] for line in listed.splitlines()}
    assert names >= {f"fsvc-{name}@.service" for name in SERVICES}
    highest = 0.6 if systemd_version(machine) < 249 else 0.5  # it knows no way to name no family of addresses
    for name in names:
        report = machine.run("systemd-analyze", "security", "--no-pager", name).stdout
        assert float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", report)[1]) <= highest, report


def unknown_before(version):
    """The lines of the sandbox that a systemd does not know, by doc/services.md."""
    table = re.findall(r"^\| before (\d+) \| `(\S+)` \|", (REPO / "doc/services.md").read_text(), re.M)
    assert table
    return {line for since, line in table if version < int(since)}


def test_systemd_finds_no_fault_in_the_units_but_what_the_document_says(machine):
    """A fault would mean that a line of the sandbox is ignored."""
    units = [f"fsvc-{name}{kind}" for name in SERVICES for kind in (".socket", "@.service")]
    found = machine.run("systemd-analyze", "verify", *units, check=False)
    complaints = re.findall(r"(/\S+):(\d+): (.*)", found.stdout + found.stderr)
    assert len(complaints) == len((found.stdout + found.stderr).splitlines())
    ignored = {machine.path(path).read_text().splitlines()[int(number) - 1] for path, number, _ in complaints}
    assert ignored == unknown_before(systemd_version(machine))


def systemd_version(machine):
    return int(machine.run("systemctl", "--version").stdout.split()[1])


# many


def test_a_neighbour_cannot_shut_the_socket_down(machine):
    """By default systemd stops a socket after 200 connections within two seconds."""
    machine.run("/usr/bin/python3", "-c", """if True:
        import socket
        for _ in range(300):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
                connection.connect("/run/filesystems/squashfs")""")
    wait_for(lambda: not instances(machine), 120, "the end of all services")
    assert machine.run("systemctl", "is-active", "fsvc-squashfs.socket").stdout == "active\n"
    machine.run("sh", "-c", "systemctl reset-failed")


@pytest.mark.timeout(1800)
def test_a_thousand_mounts_live_at_once(machine):
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
