# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-probe --hello connects to services and checks their replies."""

import contextlib
import json
import os
import pty
import socket
import subprocess
import time

import pytest

from kit import protocol
from kit.channel import HungUp
from kit.probe_fixtures import FAILED, HOSTILE, PROBE, TYPE, directory_as, printable, without_systemd  # noqa: F401: fixtures
from kit.programs import AS_NOBODY, NOBODY


def start_probe(run, *arguments):
    return run(*PROBE, "--json", "--hello", *arguments)


def finish_probe(program, code):
    result = program.wait()
    assert result.code == code, result
    assert printable(result.output) and printable(result.errors)
    row, = json.loads(result.output)["services"]
    return row


@pytest.mark.parametrize("arguments", [[], [TYPE]], ids=["all", "one"])
def test_probe_disconnects_after_reply_of_service(listen, run, arguments):
    listener = listen(TYPE)
    program = start_probe(run, *arguments)
    service = listener.accept()
    assert service.receive_hello() == (1, 1, 0)
    time.sleep(0.2)
    service.send(protocol.last())
    row = finish_probe(program, 0)
    assert list(row) == ["type", "state", "version", "time", "failure"]
    assert (row["state"], row["version"], row["failure"]) == ("ready", 1, None)
    assert 0.2 <= row["time"] < 30
    assert service.has_ended()
    service.close()


INVALID_REPLIES = {
    "other version": (protocol.last(7), 7, "supports version 7 of the protocol, not 1"),
    "no version": (protocol.last(0), None, "does not support the protocol"),
    "padding": (protocol.last(padding=1), None, "does not support the protocol"),
    "too short": (protocol.last()[:-1], None, "does not support the protocol"),
    "too long": (protocol.last() + b"x", None, "does not support the protocol"),
    "very long": (b"LAST" + b"x" * 65536, None, "does not support the protocol"),
    "control characters": (HOSTILE.encode(), None, "does not support the protocol"),
    "command": (protocol.open_command("/etc/shadow"), None, "does not support the protocol"),
    "echo of the packet": (protocol.hello(1, 1, 0), None, "does not support the protocol"),
    "other reply": (protocol.reply(), None, "does not support the protocol"),
}


@pytest.mark.parametrize("packet, version, failure", INVALID_REPLIES.values(), ids=INVALID_REPLIES)
def test_invalid_reply_is_failure(listen, run, packet, version, failure):
    listener = listen(TYPE)
    program = start_probe(run, TYPE)
    service = listener.accept()
    service.receive_hello()
    service.send(packet)
    row = finish_probe(program, FAILED)
    assert (row["version"], row["failure"]) == (version, failure)
    assert service.has_ended()
    service.close()


def test_descriptor_in_reply_is_not_received(listen, run):
    listener = listen(TYPE)
    program = start_probe(run, TYPE)
    service = listener.accept()
    service.receive_hello()
    with contextlib.suppress(PermissionError), open("/dev/null") as null:
        service.send(protocol.last(), null.fileno())
        assert finish_probe(program, 0)["version"] == 1
    service.close()


def test_service_that_hangs_up_is_failure(listen, run):
    listener = listen(TYPE)
    program = start_probe(run, TYPE)
    listener.accept().close()
    assert finish_probe(program, FAILED)["failure"] == "closed the connection without an answer"


@pytest.mark.parametrize("how", ["silent", "not accepting", "full"])
def test_service_without_reply_is_failure_after_timeout(listen, run, closing, how):
    listener = listen(TYPE, backlog=0 if how == "full" else 8)
    if how == "full":
        closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)).connect(listener.path)
    program = start_probe(run, "--timeout", "1", TYPE)
    service = listener.accept() if how == "silent" else None
    row = finish_probe(program, FAILED)
    assert row["failure"] == "no answer within 1 s" and row["version"] is None and 1 <= row["time"] < 20
    if service:
        service.close()


def test_service_without_reply_does_not_delay_others(listen, run):
    quick, slow = listen(f"{TYPE}2"), listen(TYPE)
    program = start_probe(run, "--timeout", "1")
    service = quick.accept()
    service.receive_hello()
    service.send(protocol.last())
    result = program.wait()
    assert result.code == FAILED and slow.waits()
    assert [row["version"] for row in json.loads(result.output)["services"]] == [None, 1]
    service.close()


def test_all_services_share_one_timeout(listen, run):
    """The time of each service does not include the time of others."""
    for name in "abc":
        listen(TYPE + name)
    full, polite = listen(f"{TYPE}d", backlog=0), listen(f"{TYPE}e")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as other:
        other.connect(full.path)
        program = start_probe(run, "--timeout", "5")
        service = polite.accept()
        service.receive_hello()
        service.send(protocol.last())
        result = program.wait()
    rows = json.loads(result.output)["services"]
    assert [row["failure"] for row in rows] == [*["no answer within 5 s"] * 4, None]
    assert result.code == FAILED and result.seconds < 15
    assert all(5 <= row["time"] < 15 for row in rows[:4]) and rows[4]["time"] < 5
    service.close()


def test_progress_message_is_printed_on_terminal(listen):
    listen(TYPE)
    listen(f"{TYPE}2")
    terminal, other = pty.openpty()
    with subprocess.Popen([*PROBE, "--hello", "--timeout", "8"], stdout=subprocess.DEVNULL, stderr=other) as program:
        os.close(other)
        assert program.wait(60) == FAILED
        assert os.read(terminal, 4096) == b"fsvc-probe: waiting for services to answer (press Ctrl-C to cancel)\r\n"
    os.close(terminal)


def test_full_queue_of_socket_is_tried_again(listen, run):
    listener = listen(TYPE, backlog=0)
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as other:
        other.connect(listener.path)
        program = start_probe(run, TYPE)
        time.sleep(0.5)
        listener.accept().close()
        service = listener.accept()
        service.receive_hello()
        service.send(protocol.last())
        assert finish_probe(program, 0)["time"] >= 0.5
    service.close()


def test_unsafe_service_is_not_connected_to(listen, run):
    listener = listen(TYPE)
    with directory_as(NOBODY, 0o755):
        row = finish_probe(start_probe(run, TYPE), FAILED)
    assert row["state"] == "unsafe" and "users other than root" in row["failure"]
    assert not listener.waits(0.2)


def test_socket_without_write_permission_is_refused(listen, run):
    listen(TYPE, mode=0o220)
    program = run(*AS_NOBODY, *PROBE, "--json", "--hello", TYPE)
    row = finish_probe(program, FAILED)
    assert (row["state"], row["failure"]) == ("refused", "Permission denied")


def test_probe_can_be_interrupted(listen, run):
    listener = listen(TYPE)
    program = start_probe(run, TYPE)
    service = listener.accept()
    service.receive_hello()
    program.process.terminate()
    assert program.exit_code() == -15
    with contextlib.suppress(HungUp):
        service.receive()
    service.close()
