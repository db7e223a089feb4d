# SPDX-License-Identifier: LGPL-2.1-or-later
"""A server that was taken over, in the sandbox as it is shipped: it gets nowhere, and nobody else is hurt."""

import faulthandler
import os

import pytest

from kit import escape, mounts
from kit.escape import MOUNTPOINT, NEIGHBOURS, OTHER
from kit.installed import needs_a_machine
from kit.programs import wait_for

PATIENCE = 25  # seconds in which a service that nobody needs has ended, on a busy machine


@pytest.fixture(scope="module")
def arena():
    needs_a_machine()
    faulthandler.cancel_dump_traceback_later()
    with escape.Arena() as arena:
        yield arena


@pytest.fixture(scope="module")
def rows(arena):
    rows, writable = arena.try_all()
    escape.show(rows)
    return {row.name: row for row in rows}, writable


@pytest.fixture
def unhurt(arena):
    """Whatever a server does: other mounts go on, and in the end nothing is left of it."""
    yield
    assert arena.run("cat", f"{OTHER}/small").stdout == "secret\n"
    wait_for(lambda: not arena.services(), PATIENCE, "the end of the service")
    left = [mount for mount in mounts.mountinfo(arena.leader) if mount.mountpoint in (MOUNTPOINT, NEIGHBOURS)]
    assert not left
    assert arena.run("pgrep", "-x", "hostile", check=False).stdout == ""


@pytest.mark.parametrize("name", escape.names())
def test_no_attempt_succeeds(rows, name):
    row = rows[0][name]
    assert row.refused, f"inside: {row.inside}"
    assert row.real, f"the same as root outside: {row.outside}"


def test_there_is_much_to_refuse(rows):
    assert sum(row.outside == "done" for row in rows[0].values()) > 100


def test_a_writable_mount_gives_its_source_and_nothing_more(rows):
    assert set(rows[1]) <= {
        "write to the source of a read-only mount", "change the time of the source", "give the source an attribute",
    }


# what cannot be refused has limits


@pytest.fixture
def misbehave(arena, unhurt):
    """Mounts a server with a bad habit: the caller hears of it in time, in one line, and has no mount."""

    def misbehave(habit, *options):
        failed = arena.mount_hostile(f"habit={habit}", "fsvc.timeout=3", *options)
        assert failed.returncode == 1
        assert len(failed.stderr.splitlines()) == 1
        return arena.said()

    yield misbehave
    arena.end_services()


def test_a_server_that_runs_from_signals_is_caught(arena, misbehave):
    misbehave("comets")
    wait_for(lambda: not arena.services(), 12, "the end of the service")


def test_a_server_that_stops_its_starter_is_ended(arena, misbehave):
    misbehave("stop")
    wait_for(lambda: not arena.services(), PATIENCE, "the end of the service")


def test_a_server_that_kills_its_starter_dies_with_it(arena, misbehave):
    misbehave("kill")
    wait_for(lambda: not arena.services(), PATIENCE, "the end of the service")


def test_a_server_that_asks_for_many_files_gets_none(arena, misbehave):
    assert "found 0\n" in misbehave("questions")


def test_a_server_that_writes_much_does_not_fill_the_log(arena, misbehave):
    assert 0 < misbehave("lines").count("\nline ") < 10000


@pytest.mark.soak  # up to 17 minutes: pytest -m soak
def test_a_server_that_outlives_its_mount_is_ended(arena, unhurt):
    """It may take long to write back what it holds, but not for ever."""
    faulthandler.cancel_dump_traceback_later()
    arena.mount_hostile("habit=outlive", check=True)
    arena.run("umount", "--lazy", MOUNTPOINT)
    try:
        wait_for(lambda: not arena.services(), 1050, "the end of the service")
    finally:
        arena.end_services()


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
def within_limits(arena, unhurt):
    """Mounts a server under the limits of its unit.

    systemd sets them by cgroups of version 2.  A system that uses those of version 1 leaves it none: there the test
    sets them, and one for memory that hurts nobody else.
    """
    by_hand = {"pids": limits(arena, "TasksMax")["TasksMax"], "memory": 64 << 20}
    if not all(os.path.isdir(f"/sys/fs/cgroup/{controller}") for controller in by_hand):
        by_hand = {}

    def within_limits(habit):
        with escape.cgroups_by_hand(**by_hand) as cgroups:
            code, said = arena.mount_hostile_within(cgroups, f"habit={habit}", "fsvc.timeout=6")
            assert code == 1 and len(said.splitlines()) == 1
            wait_for(lambda: not arena.services(), PATIENCE, "the end of the service")
            return arena.said()

    yield within_limits
    arena.end_services()


def test_a_server_that_forks_has_few_processes(within_limits):
    count, = [line.split()[1] for line in within_limits("forks").splitlines() if line.startswith("processes ")]
    assert 100 < int(count) < 256


def test_a_server_that_eats_memory_is_killed(within_limits):
    assert "chunks" not in within_limits("memory")
