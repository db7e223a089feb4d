# SPDX-License-Identifier: LGPL-2.1-or-later
"""A server that was taken over, in each sandbox as it is shipped: it gets nowhere, and nobody else is hurt."""

import os

import pytest

from kit import compat_calls, escape_attempts, escape_machine, hostile_services, mounts
from kit.hostile_services import MOUNTPOINT, NEIGHBOURS, OTHER
from kit.installed_machine import needs_a_machine

CHUNK = 16 << 20  # which hostile_misuse.c asks for at a time


@pytest.fixture(scope="module")
def arena():
    needs_a_machine()
    with escape_machine.Arena() as arena:
        yield arena


@pytest.fixture(scope="module")
def tables(arena):
    """For each manager the rows, and what succeeds in a writable mount."""
    tables = {name: arena.try_all(manager) for name, manager in arena.managers.items()}
    escape_attempts.show({name: rows for name, (rows, _) in tables.items()})
    return tables


@pytest.fixture(params=hostile_services.MANAGERS)
def manager(arena, request):
    return arena.managers[request.param]


@pytest.fixture
def unhurt(arena, manager):
    """Whatever a server does: other mounts go on, and in the end nothing is left of it."""
    yield
    assert arena.run("cat", f"{OTHER}/small").stdout == "secret\n"
    manager.wait_for_end()
    left = [mount for mount in mounts.mountinfo(arena.leader) if mount.mountpoint in (MOUNTPOINT, NEIGHBOURS)]
    assert not left
    assert arena.run("pgrep", "-x", "hostile", check=False).stdout == ""


@pytest.mark.parametrize("by", hostile_services.MANAGERS)
@pytest.mark.parametrize("name", escape_attempts.names())
def test_no_attempt_succeeds(tables, by, name):
    if name == "system calls of 32 bits" and not compat_calls.exist():
        pytest.skip(compat_calls.REASON)
    row, = [row for row in tables[by][0] if row.name == name]
    assert row.refused, f"inside: {row.inside}"
    assert row.real, f"the same as root outside: {row.outside}"


@pytest.mark.parametrize("by", hostile_services.MANAGERS)
def test_there_is_much_to_refuse(tables, by):
    assert sum(row.outside == "done" for row in tables[by][0]) > 100


@pytest.mark.parametrize("by", hostile_services.MANAGERS)
def test_a_writable_mount_gives_its_source_and_nothing_more(tables, by):
    assert set(tables[by][1]) <= {
        "write to the source of a read-only mount", "change the time of the source", "give the source an attribute",
    }


# what cannot be refused has limits


@pytest.fixture
def misbehave(manager, unhurt):
    """Mounts a server with a bad habit: the caller hears of it in time, in one line, has no mount, and it ends."""

    def misbehave(habit, *options):
        failed = manager.mount(f"habit={habit}", "fsvc.timeout=5", *options)
        assert failed.returncode == 1
        assert len(failed.stderr.splitlines()) == 1
        manager.wait_for_end()
        return manager.said()

    yield misbehave
    manager.end_services()


HABITS = {
    "comets": "never the same process for long",
    "stop": "stops its starter",
    "kill": "kills its starter",
}


@pytest.mark.parametrize("habit", HABITS, ids=HABITS.get)
def test_a_server_with_a_bad_habit_is_ended(misbehave, habit):
    misbehave(habit)


def test_a_server_that_asks_for_many_files_gets_none(misbehave):
    """It has the time to ask them all, also on a busy machine."""
    assert "found 0\n" in misbehave("questions", "fsvc.timeout=30")


def test_a_server_that_writes_much_does_not_fill_the_log(misbehave):
    assert 0 < misbehave("lines").count("\nline ") < 10000


@pytest.mark.timeout(1200)
@pytest.mark.soak  # up to 17 minutes: pytest -m soak
def test_a_server_that_outlives_its_mount_is_ended(arena, manager, unhurt):
    """It may take long to write back what it holds, but not for ever."""
    manager.mount("habit=outlive", check=True)
    arena.run("umount", "--lazy", MOUNTPOINT)
    try:
        manager.wait_for_end(1050)
    finally:
        manager.end_services()


def limits(arena, *names):
    shown = arena.run("systemctl", "show", "fsvc-hostile@x.service", *(f"--property={name}" for name in names)).stdout
    return dict(line.split("=") for line in shown.splitlines())


def test_memory_swap_and_processes_are_limited(arena):
    found = limits(arena, "MemoryMax", "MemorySwapMax", "TasksMax", "LimitCORE")
    assert int(found["MemoryMax"]) <= 1 << 30
    assert found["MemorySwapMax"] == "0"
    assert int(found["TasksMax"]) <= 256
    assert found["LimitCORE"] == "0"


@pytest.fixture
def within_limits(arena, manager, unhurt):
    """Mounts a server under the limits of its sandbox.

    systemd sets them by cgroups of version 2.  A system that uses those of version 1 leaves it none: there the test
    sets them, and one for memory that hurts nobody else.  fsvc-listen has others for such a system.
    """
    by_hand = {"pids": limits(arena, "TasksMax")["TasksMax"], "memory": 64 << 20}
    if manager.type != "hostile" or not all(os.path.isdir(f"/sys/fs/cgroup/{controller}") for controller in by_hand):
        by_hand = {}

    def within_limits(habit):
        with escape_machine.cgroups_by_hand(**by_hand) as cgroups:
            code, said = arena.mount_hostile_within(cgroups, manager, f"habit={habit}", "fsvc.timeout=12")
            assert code == 1 and len(said.splitlines()) == 1
            manager.wait_for_end()
            return manager.said()

    yield within_limits
    manager.end_services()


def test_a_server_that_forks_has_few_processes(within_limits):
    *_, count = [line.split()[1] for line in within_limits("forks").splitlines() if line.startswith("processes ")]
    assert 100 < int(count) < 256


def test_a_server_that_eats_memory_gets_little(within_limits):
    """It is killed by a limit for all its processes, or refused more by one for each."""
    got = [line.split()[1] for line in within_limits("memory").splitlines() if line.startswith("chunks ")]
    assert all(int(chunks) * CHUNK < hostile_services.LISTENER_MEMORY for chunks in got)
