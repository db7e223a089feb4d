# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-open and an unmodified server: the mount, signals, and how both exit."""

import errno
import json
import os
import signal
import time
from pathlib import Path

import pytest

from kit import mounts, protocol
from kit.broker_fixtures import answer, answer_all, hidden, python, server, source, server_output  # noqa: F401: fixtures
from kit.processes import descriptors_of, process_tree
from kit.waiting import wait_for

SOURCE_BYTES = bytes(range(16)).hex()  # the result of content() in kit/server_prelude.py for the source

# the mount


def test_mount_of_server_is_made_by_helper_with_kernel_options_only(server_output, source, mountpoint):
    found, asked = server_output("""
        mount(flags=6, options=",allow_other,default_permissions,max_read=4096,blksize=512")
        tell("mounted")
    """)
    assert found == "mounted"
    commands = {command.name: command for command in asked}
    assert os.fsdecode(commands["NAME"].text) == str(source)
    assert os.fsdecode(commands["MNTP"].text) == str(mountpoint)
    assert set(os.fsdecode(commands["OPTS"].text).split(",")) == {"allow_other", "default_permissions", "max_read=4096"}


def test_allow_other_is_not_requested_if_helper_does_not_allow_it(server_output):
    _, asked = server_output("    mount(options=',allow_other'); tell('mounted')", flags=0)
    assert "DOIT" in [command.name for command in asked]
    assert not [command for command in asked if command.name == "OPTS" and b"allow_other" in command.text]


@pytest.mark.parametrize("arguments", [
    "path='/mnt'", "path='/'", "path=MOUNTPOINT + '/..'", "kind='tmpfs'", "kind='ext4'", "kind=''",
    f"flags={mounts.BIND}", f"flags={mounts.REMOUNT}", f"flags={mounts.MOVE}", f"flags={mounts.SHARED}",
])
def test_mount_at_other_path_or_of_other_type_is_refused(server_output, arguments):
    found, asked = server_output(f"    tell(attempt(mount, {arguments}))")
    assert found in ("EPERM", "EINVAL", "ENODEV")
    assert "DOIT" not in [command.name for command in asked]


def test_refused_mount_fails_with_errno_of_helper(python, source):
    helper = python("    tell(attempt(mount))")
    command = helper.commands_until("DOIT")["DOIT"]
    assert command.name == "DOIT"
    helper.send(protocol.reply(errno.EBUSY))
    answer_all(helper, source)
    assert json.loads(helper.server.wait().output) == "EBUSY"


def test_second_mount_is_refused(server_output):
    found, asked = server_output("    tell([attempt(mount) for _ in range(2)][1])")
    assert found == "EBUSY"
    assert [command.name for command in asked].count("DOIT") == 1


def test_unmount_by_server_has_no_effect(server_output):
    found, asked = server_output("""
        mount()
        tell([libc("umount2", MOUNTPOINT.encode(), 0), attempt(libc, "umount2", b"/proc", 2)])
    """)
    assert found == [0, "EPERM"]
    assert "UMNT" not in [command.name for command in asked]


@pytest.fixture
def unmounted(mountpoint, closing):
    """A mountpoint that is unmounted after the test."""
    yield mountpoint
    if mounts.at(mountpoint):
        mounts.detach(mountpoint)


@pytest.fixture
def mounted(python, unmounted, source):
    """Mount a server, and return its helper after it has disconnected."""
    def mounted(text, **how):
        helper = python("    device = mount(); serve(device)\n" + text, **how)
        helper.make_mount(helper.commands_until("DOIT"))
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


def wait_until_ready(helper):
    return wait_for(lambda: "ready" in helper.server.output()[0], what="the server")


def test_source_can_be_opened_after_helper_has_exited(mounted):
    helper = mounted("""
    import time
    time.sleep(0.5)
    tell([content(attempt(os.open, SOURCE, os.O_RDONLY)), content(attempt(os.open, SOURCE, os.O_RDONLY))])
    """)
    assert json.loads(helper.server.wait().output) == [SOURCE_BYTES, SOURCE_BYTES]


SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_signal_is_forwarded_to_server(mounted, number):
    helper = mounted(SLEEP)
    wait_until_ready(helper)
    helper.server.signal(number)
    result = helper.server.wait()
    assert (result.code, number.name in result.output) == (7, True)


def test_fsvc_open_exits_with_server(mounted):
    helper = mounted(SLEEP)
    wait_until_ready(helper)
    os.kill(process_tree(helper.server.pid)[-1], signal.SIGKILL)
    assert helper.server.wait().code == 128 + signal.SIGKILL


def test_fsvc_open_waits_for_daemonized_server(python, unmounted, source):
    helper = python("""
    device = mount()
    if os.fork(): os._exit(0)
    os.setsid()
    serve(device)
""" + SLEEP)
    helper.make_mount(helper.commands_until("DOIT"))
    helper.send(protocol.reply())
    assert answer_all(helper, source)[-1].numbers == (0,)
    wait_until_ready(helper)
    helper.server.signal(signal.SIGTERM)
    assert helper.server.wait().code == 7


def test_server_can_mount_after_daemonizing(python, source):
    helper = python("""
    import time
    if os.fork(): os._exit(0)
    os.setsid()
    time.sleep(0.3)
    mount()
""")
    assert "DOIT" in [command.name for command in answer_all(helper, source)]


def test_daemon_that_never_mounts_is_killed_when_helper_exits(python):
    helper = python("    if os.fork(): os._exit(0)\n    os.setsid()" + SLEEP)
    for _ in range(2):
        helper.answer_file(helper.receive_command())
    wait_until_ready(helper)
    assert not helper.waits(0.5)
    helper.hang_up()
    helper.assert_gives_up()


def processor_time(pid):
    """Return the CPU time in clock ticks, of which a second has 100."""
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:13]))


def test_fsvc_open_uses_no_cpu_time_during_mount(mounted):
    helper = mounted(SLEEP)
    wait_until_ready(helper)
    before = processor_time(helper.server.pid)
    time.sleep(1.5)
    assert processor_time(helper.server.pid) - before < 15
    helper.server.signal(signal.SIGTERM)


def test_fsvc_open_uses_no_cpu_time_while_waiting_for_server(python):
    helper = python(SLEEP)
    helper.answer_file(helper.receive_command())
    helper.answer_file(helper.receive_command())
    wait_until_ready(helper)
    before = processor_time(helper.server.pid)
    time.sleep(1.5)
    assert processor_time(helper.server.pid) - before < 15


# how both exit

STEPS = ["OPEN", "TYPE", "NAME", "MNTP", "OPTS", "DOIT"]


@pytest.mark.parametrize("step", STEPS)
def test_server_is_killed_when_helper_exits_during_requests(python, source, step):
    helper = python("    mount(options=',max_read=4096')" + SLEEP)
    while (command := helper.receive_command()).name != step:
        answer(helper, command, [source])
    helper.hang_up()
    helper.assert_gives_up()


def test_server_is_killed_when_helper_exits_before_goodbye(python, source):
    helper = python("    mount()" + SLEEP)
    helper.commands_until("DOIT")
    helper.send(protocol.reply())
    helper.hang_up()
    helper.assert_gives_up()


def test_server_is_killed_when_helper_exits_before_mount(python):
    helper = python(SLEEP)
    helper.answer_file(helper.receive_command())
    helper.answer_file(helper.receive_command())
    wait_until_ready(helper)
    helper.hang_up()
    helper.assert_gives_up()


def test_server_killed_during_system_call_leaks_no_descriptor(python, source):
    """The process that waits for the helper's reply is killed."""
    helper = python("""
    child = os.fork()
    if not child:
        tell(attempt(os.open, SOURCE, os.O_RDONLY))
        os._exit(0)
    os.wait()
    tell(content(attempt(os.open, SOURCE, os.O_RDONLY)))
""")
    for _ in range(2):  # requests of fsvc-open itself
        helper.answer_file(helper.receive_command())
    command = helper.receive_command()
    broker, server, child = process_tree(helper.server.pid)
    os.kill(child, signal.SIGKILL)
    before = len(descriptors_of(broker))
    helper.answer_file(command)
    command = helper.receive_command()
    assert len(descriptors_of(broker)) <= before
    answer(helper, command, [source])
    answer_all(helper, source)
    assert json.loads(helper.server.wait().output) == SOURCE_BYTES


def test_server_has_only_standard_descriptors(server_output):
    found, _ = server_output("""
        tell([os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if int(name) > 2
              and os.path.exists(f"/proc/self/fd/{name}")])
    """)
    assert [name for name in found if "/libffi.so" not in name] == []  # Python has this open since libffi 3.5
