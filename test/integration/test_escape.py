# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hostile server in each shipped sandbox: all its attempts fail, and other mounts are not affected."""

import os

import pytest

from kit import compat_calls, escape_attempts, escape_machine, hostile_services, mounts
from kit.hostile_services import MOUNTPOINT, NEIGHBOURS, OTHER
from kit.installed_machine import needs_a_machine

CHUNK_SIZE = 16 << 20  # as in hostile_misuse.c


@pytest.fixture(scope="module")
def arena():
    needs_a_machine()
    with escape_machine.EscapeMachine() as arena:
        yield arena


@pytest.fixture(scope="module")
def tables(arena):
    """For each manager, its results, and the attempts that succeed in a writable mount."""
    tables = {name: arena.try_all(manager) for name, manager in arena.managers.items()}
    escape_attempts.show({name: rows for name, (rows, _) in tables.items()})
    return tables


@pytest.fixture(params=hostile_services.MANAGERS)
def manager(arena, request):
    return arena.managers[request.param]


@pytest.fixture
def nothing_affected(arena, manager):
    """Check that other mounts work and that nothing is left of the server."""
    yield
    assert arena.run("cat", f"{OTHER}/small").stdout == "secret\n"
    manager.wait_for_end()
    left = [mount for mount in mounts.mountinfo(arena.leader) if mount.mountpoint in (MOUNTPOINT, NEIGHBOURS)]
    assert not left
    assert arena.run("pgrep", "-x", "hostile", check=False).stdout == ""


@pytest.mark.parametrize("by", hostile_services.MANAGERS)
@pytest.mark.parametrize("name", escape_attempts.names())
def test_attempt_of_hostile_server_fails(tables, by, name):
    if name == "32-bit system calls" and not compat_calls.exist():
        pytest.skip(compat_calls.REASON)
    row, = [row for row in tables[by][0] if row.name == name]
    assert row.is_refused, f"inside: {row.inside}"
    assert row.is_meaningful, f"the same as root outside: {row.outside}"


@pytest.mark.parametrize("by", hostile_services.MANAGERS)
def test_more_than_100_attempts_succeed_outside_sandbox(tables, by):
    assert sum(row.outside == "done" for row in tables[by][0]) > 100


@pytest.mark.parametrize("by", hostile_services.MANAGERS)
def test_writable_mount_only_allows_to_change_source(tables, by):
    assert set(tables[by][1]) <= {
        "write to the source of a read-only mount", "change the time of the source", "set an attribute of the source",
    }


# limits of operations that are allowed


@pytest.fixture
def run_misuse(manager, nothing_affected):
    """Mount a server that misuses an operation. Check that the helper fails in time with one message. Return the log."""

    def run_misuse(misuse, *options):
        failed = manager.mount(f"misuse={misuse}", "fsvc.timeout=5", *options)
        assert failed.returncode == 1
        assert len(failed.stderr.splitlines()) == 1
        manager.wait_for_end()
        return manager.messages()

    yield run_misuse
    manager.end_services()


MISUSES = {
    "comets": "forks forever",
    "stop": "stops its parent",
    "kill": "kills its parent",
}


@pytest.mark.parametrize("misuse", MISUSES, ids=MISUSES.get)
def test_misbehaving_server_is_killed(run_misuse, misuse):
    run_misuse(misuse)


def test_server_cannot_open_files_that_are_not_granted(run_misuse):
    """The timeout is long enough for all requests on a busy machine."""
    assert "found 0\n" in run_misuse("questions", "fsvc.timeout=30")


def test_output_of_server_in_log_is_limited(run_misuse):
    assert 0 < run_misuse("lines").count("\nline ") < 10000


@pytest.mark.timeout(1200)
@pytest.mark.soak  # up to 17 minutes: pytest -m soak
def test_server_that_ignores_unmount_is_killed(arena, manager, nothing_affected):
    """A server has some minutes to write data back."""
    manager.mount("misuse=outlive", check=True)
    arena.run("umount", "--lazy", MOUNTPOINT)
    try:
        manager.wait_for_end(1050)
    finally:
        manager.end_services()


def limits(arena, *names):
    shown = arena.run("systemctl", "show", "fsvc-hostile@x.service", *(f"--property={name}" for name in names)).stdout
    return dict(line.split("=") for line in shown.splitlines())


def test_memory_swap_and_processes_of_service_are_limited(arena):
    found = limits(arena, "MemoryMax", "MemorySwapMax", "TasksMax", "LimitCORE")
    assert int(found["MemoryMax"]) <= 1 << 30
    assert found["MemorySwapMax"] == "0"
    assert int(found["TasksMax"]) <= 256
    assert found["LimitCORE"] == "0"


@pytest.fixture
def within_limits(arena, manager, nothing_affected):
    """Mount a server under the limits of its sandbox.

    systemd sets them with cgroup v2. On systems with cgroup v1 it cannot: there the test sets the limits, with a
    lower one for memory. fsvc-listen uses other limits there.
    """
    by_hand = {"pids": limits(arena, "TasksMax")["TasksMax"], "memory": 64 << 20}
    if manager.type != "hostile" or not all(os.path.isdir(f"/sys/fs/cgroup/{controller}") for controller in by_hand):
        by_hand = {}

    def within_limits(misuse):
        with escape_machine.limited_cgroups(**by_hand) as cgroups:
            code, said = arena.mount_hostile_within(cgroups, manager, f"misuse={misuse}", "fsvc.timeout=12")
            assert code == 1 and len(said.splitlines()) == 1
            manager.wait_for_end()
            return manager.messages()

    yield within_limits
    manager.end_services()


def test_number_of_processes_is_limited(within_limits):
    *_, count = [line.split()[1] for line in within_limits("forks").splitlines() if line.startswith("processes ")]
    assert 100 < int(count) < 256


def test_memory_is_limited(within_limits):
    """The service is killed by a limit for all processes, or mmap(2) fails by a limit for each process."""
    got = [line.split()[1] for line in within_limits("memory").splitlines() if line.startswith("chunks ")]
    assert all(int(chunks) * CHUNK_SIZE < hostile_services.LISTENER_MEMORY for chunks in got)
