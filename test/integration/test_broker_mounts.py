# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-open between an unmodified server and its mount, from the first call to the end of either."""

import errno
import json
import os
import signal
import time
from pathlib import Path

import pytest

from kit import mounts, protocol
from kit.broker_fixtures import answer, answer_all, hidden, python, server, source, told  # noqa: F401: fixtures
from kit.processes import descriptors_of, family
from kit.waiting import wait_for

HERE = bytes(range(16)).hex()  # what content() of kit/server_prelude.py finds in the source

# the mount


def test_a_mount_becomes_the_helpers_with_the_kernels_options_alone(told, source, mountpoint):
    found, asked = told("""
        mount(flags=6, options=",allow_other,default_permissions,max_read=4096,blksize=512")
        tell("mounted")
    """)
    assert found == "mounted"
    commands = {command.name: command for command in asked}
    assert os.fsdecode(commands["NAME"].text) == str(source)
    assert os.fsdecode(commands["MNTP"].text) == str(mountpoint)
    assert set(os.fsdecode(commands["OPTS"].text).split(",")) == {"allow_other", "default_permissions", "max_read=4096"}


def test_allow_other_goes_no_further_than_it_may(told):
    _, asked = told("    mount(options=',allow_other'); tell('mounted')", flags=0)
    assert "DOIT" in [command.name for command in asked]
    assert not [command for command in asked if command.name == "OPTS" and b"allow_other" in command.text]


@pytest.mark.parametrize("words", [
    "place='/mnt'", "place='/'", "place=MOUNTPOINT + '/..'", "kind='tmpfs'", "kind='ext4'", "kind=''",
    f"flags={mounts.BIND}", f"flags={mounts.REMOUNT}", f"flags={mounts.MOVE}", f"flags={mounts.SHARED}",
])
def test_any_other_mount_is_refused(told, words):
    found, asked = told(f"    tell(attempt(mount, {words}))")
    assert found in ("EPERM", "EINVAL", "ENODEV")
    assert "DOIT" not in [command.name for command in asked]


def test_a_refused_mount_tells_the_servers_reason(python, source):
    helper = python("    tell(attempt(mount))")
    command = helper.commands_until("DOIT")["DOIT"]
    assert command.name == "DOIT"
    helper.send(protocol.reply(errno.EBUSY))
    answer_all(helper, source)
    assert json.loads(helper.server.wait().output) == "EBUSY"


def test_a_second_mount_is_refused(told):
    found, asked = told("    tell([attempt(mount) for _ in range(2)][1])")
    assert found == "EBUSY"
    assert [command.name for command in asked].count("DOIT") == 1


def test_unmounting_is_answered_and_left_to_the_person(told):
    found, asked = told("""
        mount()
        tell([libc("umount2", MOUNTPOINT.encode(), 0), attempt(libc, "umount2", b"/proc", 2)])
    """)
    assert found == [0, "EPERM"]
    assert "UMNT" not in [command.name for command in asked]


@pytest.fixture
def unmounted(mountpoint, closing):
    """A mountpoint that is free afterwards."""
    yield mountpoint
    if mounts.at(mountpoint):
        mounts.detach(mountpoint)


@pytest.fixture
def mounted(python, unmounted, source):
    """A server that serves, with its helper gone."""
    def mounted(text, **how):
        helper = python("    device = mount(); serve(device)\n" + text, **how)
        helper.really_mount(helper.commands_until("DOIT"))
        helper.send(protocol.reply())
        assert answer_all(helper, source)[-1].numbers == (0,)
        helper.hang_up()
        return helper

    return mounted


SLEEP = """
    import signal, time
    def leave(number, frame):
        tell(signal.Signals(number).name)
        sys.exit(7)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1): signal.signal(number, leave)
    tell("ready")
    while True: time.sleep(60)
"""


def ready(helper):
    return wait_for(lambda: "ready" in helper.server.output()[0], what="the server")


def test_the_source_is_there_when_the_helper_has_gone(mounted):
    helper = mounted("""
    import time
    time.sleep(0.5)
    tell([content(attempt(os.open, SOURCE, os.O_RDONLY)), content(attempt(os.open, SOURCE, os.O_RDONLY))])
    """)
    assert json.loads(helper.server.wait().output) == [HERE, HERE]


SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_reaches_the_server(mounted, number):
    helper = mounted(SLEEP)
    ready(helper)
    helper.server.signal(number)
    result = helper.server.wait()
    assert (result.code, number.name in result.output) == (7, True)


def test_fsvc_open_ends_with_the_server(mounted):
    helper = mounted(SLEEP)
    ready(helper)
    os.kill(family(helper.server.pid)[-1], signal.SIGKILL)
    assert helper.server.wait().code == 128 + signal.SIGKILL


def test_fsvc_open_waits_for_a_daemon(python, unmounted, source):
    helper = python("""
    device = mount()
    if os.fork(): os._exit(0)
    os.setsid()
    serve(device)
""" + SLEEP)
    helper.really_mount(helper.commands_until("DOIT"))
    helper.send(protocol.reply())
    assert answer_all(helper, source)[-1].numbers == (0,)
    ready(helper)
    helper.server.signal(signal.SIGTERM)
    assert helper.server.wait().code == 7


def test_a_daemon_may_mount_after_its_parent_has_left(python, source):
    helper = python("""
    import time
    if os.fork(): os._exit(0)
    os.setsid()
    time.sleep(0.3)
    mount()
""")
    assert "DOIT" in [command.name for command in answer_all(helper, source)]


def test_a_daemon_that_never_mounts_ends_with_the_helper(python):
    helper = python("    if os.fork(): os._exit(0)\n    os.setsid()" + SLEEP)
    for _ in range(2):
        helper.answer_file(helper.receive_command())
    ready(helper)
    assert not helper.waits(0.5)
    helper.hang_up()
    helper.gives_up()


def processor_time(pid):
    """In ticks, of which a second has 100."""
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:13]))


def test_fsvc_open_sleeps_while_the_server_serves(mounted):
    helper = mounted(SLEEP)
    ready(helper)
    before = processor_time(helper.server.pid)
    time.sleep(1.5)
    assert processor_time(helper.server.pid) - before < 15
    helper.server.signal(signal.SIGTERM)


def test_fsvc_open_sleeps_while_it_waits_for_the_server(python):
    helper = python(SLEEP)
    helper.answer_file(helper.receive_command())
    helper.answer_file(helper.receive_command())
    ready(helper)
    before = processor_time(helper.server.pid)
    time.sleep(1.5)
    assert processor_time(helper.server.pid) - before < 15


# ends

STEPS = ["OPEN", "TYPE", "NAME", "MNTP", "OPTS", "DOIT"]


@pytest.mark.parametrize("step", STEPS)
def test_a_helper_that_goes_ends_the_server(python, source, step):
    helper = python("    mount(options=',max_read=4096')" + SLEEP)
    while (command := helper.receive_command()).name != step:
        answer(helper, command, [source])
    helper.hang_up()
    helper.gives_up()


def test_a_helper_that_goes_before_the_mount_is_served_ends_the_server(python, source):
    helper = python("    mount()" + SLEEP)
    helper.commands_until("DOIT")
    helper.send(protocol.reply())
    helper.hang_up()
    helper.gives_up()


def test_a_helper_that_waits_for_no_mount_ends_the_server(python):
    helper = python(SLEEP)
    helper.answer_file(helper.receive_command())
    helper.answer_file(helper.receive_command())
    ready(helper)
    helper.hang_up()
    helper.gives_up()


def test_a_server_that_dies_in_the_middle_of_a_call_leaves_nothing(python, source):
    """The helper takes its time, and meanwhile who asked is killed."""
    helper = python("""
    child = os.fork()
    if not child:
        tell(attempt(os.open, SOURCE, os.O_RDONLY))
        os._exit(0)
    os.wait()
    tell(content(attempt(os.open, SOURCE, os.O_RDONLY)))
""")
    for _ in range(2):  # fsvc-open's own
        helper.answer_file(helper.receive_command())
    command = helper.receive_command()
    starter, server, child = family(helper.server.pid)
    os.kill(child, signal.SIGKILL)
    before = len(descriptors_of(starter))
    helper.answer_file(command)
    command = helper.receive_command()
    assert len(descriptors_of(starter)) <= before
    answer(helper, command, [source])
    answer_all(helper, source)
    assert json.loads(helper.server.wait().output) == HERE


def test_a_server_has_no_descriptor_but_the_standard_ones(told):
    found, _ = told("""
        tell([os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if int(name) > 2
              and os.path.exists(f"/proc/self/fd/{name}")])
    """)
    assert [name for name in found if "/libffi.so" not in name] == []  # Python's own, since libffi 3.5
