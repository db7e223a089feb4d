# SPDX-License-Identifier: LGPL-2.1-or-later
"""The instructions of doc/services.md: own services, additional files, and the network."""

import json
import re

import pytest

from kit import images, real_servers
from kit.installed_machine import installed_machine
from kit.throwaway_machine import REPO, Machine
from kit.waiting import wait_for
from kit.service_units import UNITS, add_service, blocks

ADDRESS = "192.0.2.1"  # an address of the machine, not of localhost
NETWORK = {"a socket of AF_INET", "a socket of AF_INET6"}

# A real server that reads from another file at which offset of the source the filesystem begins.
SERVER_WITH_OFFSET = """/bin/sh -c 'exec squashfuse -f -o offset=$(cat {})  "$1" "$2"' sh {{source}} {{mountpoint}}"""

# A web server with support for range requests.
WEB_SERVER = """
import http.server, os, re, sys

class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        path = self.translate_path(self.path)
        part = re.fullmatch(r"bytes=(\\d+)-(\\d+)", self.headers.get("Range", ""))
        if not part or not os.path.isfile(path):
            return super().do_GET()
        with open(path, "rb") as file:
            whole = file.read()
        first, last = int(part[1]), min(int(part[2]), len(whole) - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(whole)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.wfile.write(whole[first:last + 1])

    def end_headers(self):
        self.send_header("Accept-Ranges", "bytes")
        super().end_headers()

os.chdir("/web")
http.server.ThreadingHTTPServer((sys.argv[1], 8000), Handler).serve_forever()
"""


class FirewallMachine(Machine):
    """A machine whose systemd can load the BPF programs of IPAddressDeny=."""

    def nspawn_options(self):
        return [*super().nspawn_options(), "--system-call-filter=bpf"]


@pytest.fixture(scope="module")
def machine():
    with installed_machine(FirewallMachine) as machine:
        for path, text in blocks().items():
            machine.run("mkdir", "-p", path.rpartition("/")[0])
            machine.path(path).write_text(text)
        images.make_tree(machine)
        machine.run("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
        machine.run("systemctl", "daemon-reload")
        yield machine


def assert_same_tree(machine):
    machine.run("diff", "--recursive", "--no-dereference", "--exclude=pipe", f"{images.DIRECTORY}/tree", real_servers.MOUNTPOINT)


def refused(machine, source, subtype, *options):
    failed = machine.run("fuservicemount3", source, real_servers.MOUNTPOINT, "-t", subtype, *options, check=False)
    wait_for(lambda: not real_servers.instances(machine), 30, "the end of the service")
    return failed.returncode == 1 and not real_servers.is_mounted(machine)


def test_service_needs_five_lines_of_units(machine):
    assert sum(len([line for line in text.splitlines() if not line.startswith("[")])
               for path, text in blocks().items() if "/fsvc-mine" in path) <= 5
    machine.run("systemctl", "start", "fsvc-mine.socket")
    with real_servers.contained(machine, "mine", images.make_image(machine, "squashfs")):
        assert_same_tree(machine)


# additional files


@pytest.fixture
def shifted(machine):
    """A squashfs image at an offset in a file."""
    image = images.make_image(machine, "squashfs")
    machine.run("sh", "-ec", f"cd {images.DIRECTORY} && head -c 8192 /dev/zero >shifted && cat {image} >>shifted &&"
                " echo 8192 >offset && chmod 600 shifted offset")
    return f"{images.DIRECTORY}/shifted"


def test_administrator_can_grant_additional_file(machine, shifted):
    file = f"{images.DIRECTORY}/offset"
    add_service(machine, "policy", f"/usr/bin/fsvc-open --read-only --options=none -- {SERVER_WITH_OFFSET.format(file)}")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "fsvc-policy.socket")
    assert refused(machine, shifted, "policy")
    policy = machine.path("/etc/fsvc/policy.conf")
    policy.write_text(f"read {file}\n")
    with real_servers.contained(machine, "policy", shifted):
        assert_same_tree(machine)


def test_caller_can_grant_additional_file(machine, shifted):
    file = f"{images.DIRECTORY}/offset"
    add_service(machine, "option", f"/usr/bin/fsvc-open --read-only --options=none -- {SERVER_WITH_OFFSET.format(file)}")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "fsvc-option.socket")
    assert refused(machine, shifted, "option", "-o", "offset=/etc/hostname")
    with real_servers.contained(machine, "option", shifted, "-o", f"offset={file}"):
        assert_same_tree(machine)


# the network


@pytest.fixture
def start(machine):
    """Start a program in the machine. It is stopped after the test."""
    units = []

    def start(*command):
        units.append(f"other-end-{len(units)}.service")
        machine.run("systemd-run", "--quiet", "--collect", "--unit", units[-1], *command)

    yield start
    for unit in units:
        machine.run("systemctl", "stop", unit)


def wait_for_port(machine, address, port):
    connect = f"import socket; socket.create_connection(('{address}', {port}))"
    wait_for(lambda: machine.run("/usr/bin/python3", "-c", connect, check=False).returncode == 0, 10, "the other end")


def test_httpdirfs_mounts_web_server(machine, start):
    machine.run("sh", "-ec", f"mkdir -p /web && cp -r {images.DIRECTORY}/tree/many {images.DIRECTORY}/tree/text /web")
    machine.path("/web.py").write_text(WEB_SERVER)
    start("/usr/bin/python3", "/web.py", ADDRESS)
    wait_for_port(machine, ADDRESS, 8000)
    machine.run("systemctl", "start", "fsvc-net-httpdirfs.socket")
    with real_servers.contained(machine, "httpdirfs", f"http://{ADDRESS}:8000/"):
        machine.run("diff", "--recursive", "/web", real_servers.MOUNTPOINT)


def test_network_service_cannot_connect_to_localhost(machine):
    """Only the setting is checked: systemd enforces it with cgroup v2, which not all machines have."""
    denied = machine.run("systemctl", "show", "--value", "-p", "IPAddressDeny", "fsvc-net-httpdirfs@1-1-0.service").stdout
    assert "127.0.0.0/8" in denied and "169.254.0.0/16" in denied


def test_sshfs_reads_and_writes(machine, start):
    """Without ssh, which only forwards the data."""
    add_service(machine, "net-sshfs", "/usr/bin/fsvc-open --instance=%i --remote -- sshfs -f")
    unit = machine.path(f"{UNITS}/fsvc-net-sshfs.socket")
    unit.write_text(unit.read_text().replace("/net-sshfs", "/sshfs"))
    machine.run("systemctl", "daemon-reload")
    start("systemd-socket-activate", "--accept", "--inetd", f"--listen={ADDRESS}:2222", "/usr/lib/openssh/sftp-server")
    machine.run("sh", "-ec", f"mkdir -p /far && cp -r {images.DIRECTORY}/tree/many {images.DIRECTORY}/tree/text /far")
    machine.run("systemctl", "start", "fsvc-net-sshfs.socket")
    with real_servers.contained(machine, "sshfs", f"{ADDRESS}:/far", "-o", "directport=2222"):
        machine.run("diff", "--recursive", "/far", real_servers.MOUNTPOINT)
        machine.run("sh", "-ec", f"echo written >{real_servers.MOUNTPOINT}/new")
    assert machine.run("cat", "/far/new").stdout == "written\n"


def test_network_service_is_otherwise_contained(machine):
    machine.path("/usr/local/lib/attacker.py").write_text((REPO / "test/integration/kit/taken_over_server.py").read_text())
    add_service(machine, "net-attacker", "/usr/bin/python3 -I /usr/local/lib/attacker.py")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "fsvc-net-attacker.socket")
    inside = json.loads(machine.run("/usr/bin/python3", "-c", """if True:
        import socket
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect("/run/filesystems/net-attacker")
        print(connection.recv(65536).decode())""").stdout)
    assert {attempt for attempt, outcome in inside.items() if outcome == "done"} <= NETWORK
    report = machine.run("systemd-analyze", "security", "--no-pager", "fsvc-net-attacker@.service").stdout
    assert float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", report)[1]) <= 1.5
