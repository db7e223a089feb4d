# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-probe where no systemd runs: it shows what is there, touches nothing, and believes nobody."""

import contextlib
import ctypes.util
import json
import os
import pty
import re
import socket
import subprocess
from pathlib import Path

import pytest

from kit import mounts
from kit.fake_service import SOCKETS
from kit.probe_fixtures import (  # noqa: F401: fixtures
    FAILED, HOSTILE, PROBE, TYPE, directory_as, printable, probe, shown, state, without_systemd,
)
from kit.programs import AS_NOBODY, NOBODY

USUAL = ["TYPE", "STATE", "UNIT", "ENABLED", "MOUNTS", "LIMIT", "SERVER"]
USUAL_IN_JSON = ["type", "state", "socket", "unit", "enabled", "mounts", "limit", "server"]


# states


def test_a_service_that_listens_is_ready(listen, state):
    listen(TYPE)
    assert state() == "ready"


def test_a_socket_at_which_nobody_listens_is_told_from_one(listen, state):
    listen(TYPE, backlog=None)
    assert state() == "not-listening"


def test_a_socket_of_another_kind_is_no_listener(closing, state):
    other = closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    other.bind(f"{SOCKETS}/{TYPE}")
    other.listen()
    assert state() == "not-listening"
    os.unlink(f"{SOCKETS}/{TYPE}")


def test_a_listener_is_found_whatever_its_socket_was_called_at_first(listen, state, shown):
    """fsvc-listen puts its socket in place when it listens, and not before."""
    listen(f".{TYPE}")
    assert shown() == []
    os.rename(f"{SOCKETS}/.{TYPE}", f"{SOCKETS}/{TYPE}")
    assert state() == "ready"
    os.unlink(f"{SOCKETS}/{TYPE}")


def test_a_listener_elsewhere_is_not_taken_for_one_by_its_name(listen, state, closing, work, monkeypatch):
    """What it was bound to looks like a line of /proc/net/unix."""
    listen(TYPE, backlog=None)
    monkeypatch.chdir(work)
    name = f"x\n0: 2 0 10000 5 1 1 {SOCKETS}/{TYPE}"
    os.makedirs(os.path.dirname(name))
    other = closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    other.bind(name)
    other.listen()
    assert f"\n0: 2 0 10000 5 1 1 {SOCKETS}/{TYPE}\n" in Path("/proc/net/unix").read_text()
    assert state() == "not-listening"


def test_who_may_not_write_to_the_socket_is_refused(listen, state):
    listen(TYPE, mode=0o220)
    assert state() == "ready"
    assert state(command=[*AS_NOBODY, *PROBE]) == "refused"


def test_who_may_write_to_the_socket_is_not(listen, state):
    listen(TYPE, mode=0o222)
    assert state(command=[*AS_NOBODY, *PROBE]) == "ready"


@pytest.mark.parametrize("owner, mode", [(NOBODY, 0o755), (0, 0o775), (0, 0o757)])
def test_a_directory_that_others_write_makes_all_in_it_unsafe(listen, shown, owner, mode):
    listen(TYPE)
    with directory_as(owner, mode):
        row, = shown("-O")
        assert row["state"] == "unsafe" and "users other than root" in row["reason"]


def test_a_socket_of_somebody_else_is_unsafe(listen, shown):
    listen(TYPE)
    os.chown(f"{SOCKETS}/{TYPE}", NOBODY, 0)
    row, = shown("-O")
    assert row["state"] == "unsafe" and "not a socket owned by root" in row["reason"]


def test_sockets_alone_are_services(shown):
    with open(f"{SOCKETS}/file", "w"):
        os.symlink("nowhere", f"{SOCKETS}/link")
        os.mkdir(f"{SOCKETS}/directory")
    try:
        assert shown() == []
    finally:
        os.unlink(f"{SOCKETS}/file")
        os.unlink(f"{SOCKETS}/link")
        os.rmdir(f"{SOCKETS}/directory")


def test_without_a_directory_there_is_no_service(probe, shown):
    """It is looked for in another root, where there is none."""
    namespace = ["unshare", "--mount", "sh", "-c", f'umount -l {SOCKETS}; [ -d {SOCKETS} ] || exec "$@"; '
                 f'mount -t tmpfs none /run; exec "$@"', "sh", *PROBE]
    assert shown(command=namespace) == []
    assert probe(command=namespace)[:3] == (0, "", "")


@pytest.mark.unsanitized
def test_without_proc_it_says_what_it_wants_to_read(listen, probe):
    listen(TYPE)
    hidden = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc; exec "$@"', "sh", *PROBE]
    for words in [], ["-m"], ["-J"]:
        failed = probe(*words, command=hidden)
        assert failed.code == FAILED and failed.output == "" and "mountinfo" in failed.one_line()
    assert probe("--check", TYPE, command=hidden)[:3] == (0, "", "")


def test_a_directory_that_the_caller_may_not_read_is_named(listen, probe):
    listen(TYPE)
    with directory_as(0, 0o700):
        failed = probe(command=[*AS_NOBODY, *PROBE])
    assert failed.code == FAILED and failed.output == "" and SOCKETS in failed.one_line()


def test_it_connects_to_nobody(listen, probe):
    listener = listen(TYPE)
    for words in [], ["-J"], [TYPE], ["--check", TYPE], ["-O"], ["-m"]:
        assert probe(*words).code == 0
    assert not listener.waits(0.2)


# what it knows without systemd


def test_without_systemd_the_columns_are_empty_and_nobody_complains(listen, probe, shown):
    listen(TYPE)
    row, = shown()
    assert row == {"type": TYPE, "state": "ready", "socket": f"{SOCKETS}/{TYPE}", "unit": None, "enabled": None,
                   "mounts": 0, "limit": None, "server": None}
    result = probe()
    assert result.errors == ""
    assert [line.split() for line in result.output.splitlines()] == [USUAL, [TYPE, "ready", "0"]]


def test_the_rows_are_in_the_order_of_their_types(listen, shown):
    for name in "c", "a", "b":
        listen(TYPE + name)
    assert [row["type"] for row in shown()] == [TYPE + name for name in "abc"]


# how it prints


def test_json_has_the_columns_in_lower_case(listen, shown, probe):
    listen(TYPE)
    row, = shown()
    assert list(row) == USUAL_IN_JSON
    every, = shown("-O")
    assert all(name == name.lower() for name in every)
    assert set(re.findall(r"\b[A-Z]{4,}\b", probe("--help").output)) >= {name.upper() for name in every}


def test_columns_are_chosen_by_name(listen, probe):
    listen(TYPE)
    assert probe("-o", "state,TYPE").output.splitlines()[0].split() == ["STATE", "TYPE"]
    assert probe("--output=+socket").output.splitlines()[0].split() == [*USUAL, "SOCKET"]
    assert json.loads(probe("-J", "-o", "Socket").output) == {"services": [{"socket": f"{SOCKETS}/{TYPE}"}]}


def test_raw_has_one_blank_between_columns(listen, probe):
    listen(f"{TYPE} and more")
    listen(TYPE)
    words = ["--raw", "-o", "TYPE,STATE,MOUNTS"]
    lines = [f"{TYPE} ready 0", f"{TYPE}\\x20and\\x20more ready 0"]
    assert probe(*words).output.splitlines() == ["TYPE STATE MOUNTS", *lines]
    assert probe("--noheadings", *words).output.splitlines() == lines


@pytest.mark.parametrize("name, shown", [("back\\slash", "back\\x5cslash"), ("a b\nc\t", "a\\x20b\\x0ac\\x09"),
                                         ("\x1b[2J", "\\x1b[2J"), ("\\x1b[2J", "\\x5cx1b[2J"), ("\u00e4", "\\xc3\\xa4")])
def test_raw_is_read_back_by_one_rule(listen, probe, name, shown):
    """As util-linux has it: each \\xNN is a byte."""
    listen(TYPE + name)
    assert probe("-rn", "-o", "TYPE").output == f"{TYPE}{shown}\n"


def test_without_headings_there_are_rows_alone(listen, probe):
    listen(TYPE)
    assert [line.split() for line in probe("-n").output.splitlines()] == [[TYPE, "ready", "0"]]


def test_nothing_is_an_empty_list(probe):
    assert json.loads(probe("-J").output) == {"services": []}
    assert json.loads(probe("-mJ").output) == {"mounts": []}
    assert probe()[:3] == probe("-m")[:3] == probe("-r")[:3] == (0, "", "")


def test_columns_are_aligned(listen, probe):
    listen(TYPE)
    listen(f"{TYPE}-with-a-longer-name")
    lines = probe().output.splitlines()
    assert len({line.index(word) for line, word in zip(lines, ["STATE", "ready", "ready"])}) == 1


def the_library():
    """Where libsmartcols is."""
    name = ctypes.util.find_library("smartcols")
    for line in Path("/proc/self/maps").read_text().splitlines() if ctypes.CDLL(name) else []:
        if name in line:
            return line.split()[-1]
    return None


def test_without_libsmartcols_a_table_is_raw_and_json_as_ever(listen, probe, work, shown):
    listen(TYPE)
    before = shown(), probe("-r").output
    (work / "none").touch()
    mounts.mount(work / "none", the_library(), None, mounts.BIND)
    try:
        assert probe()[:3] == (0, before[1], "")
        assert shown() == before[0]
    finally:
        mounts.detach(the_library())


def on_a_terminal(*words, **environment):
    terminal, other = pty.openpty()
    with subprocess.Popen([*PROBE, *words], stdout=other, env={"TERM": "xterm", **environment}) as program:
        os.close(other)
        output = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while more := os.read(terminal, 4096):
                output += more
    os.close(terminal)
    assert program.returncode == 0
    return output.decode()


@pytest.mark.parametrize("words", [[], [TYPE]], ids=["a table", "details"])
def test_colours_are_for_terminals(listen, probe, words):
    listen(TYPE)
    assert "\x1b[32mready\x1b[0m" in on_a_terminal(*words)
    assert "\x1b[32m" in on_a_terminal(*words, NO_COLOR="")
    assert "\x1b" not in on_a_terminal(*words, NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(*words, TERM="dumb")
    assert "\x1b" not in probe(*words, env={"TERM": "xterm"}).output


@pytest.mark.parametrize("words", [[], ["-r"], ["-J"], ["-O"], [f"{TYPE}{HOSTILE}"],
                                   ["--hello", "--timeout", "1", f"{TYPE}{HOSTILE}"]],
                         ids=["table", "raw", "json", "all", "details", "hello"])
def test_a_hostile_name_cannot_reach_the_terminal(listen, probe, words):
    listen(f"{TYPE}{HOSTILE}")
    result = probe(*words)
    assert printable(result.output) and printable(result.errors)
    assert "\\x1b[2Jred\\xc2\\x9b31m" in result.output.replace("\\\\", "\\")


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "\u00e4\u00f6\u4e16", "a\tb", b"\xff\xfe"])
def test_json_is_json_whatever_the_name(listen, shown, name):
    name = os.fsdecode(name)
    listen(TYPE + name)
    row, = shown()
    plain = name.isprintable() and name.isascii() or name.isalpha() and "\udcff" not in name
    assert row["type"] == TYPE + (name if plain else {"a\tb": "a\\x09b"}.get(name, "\\xff\\xfe"))


# types in detail, and checks


def test_a_type_is_shown_in_detail(listen, probe):
    listen(TYPE)
    listen(f"{TYPE}2")
    lines = probe(TYPE).output.splitlines()
    assert [line.split(":", 1)[0] for line in lines] == ["type", "state", "socket", "mounts"]
    assert [line.split()[-1] for line in lines] == [TYPE, "ready", f"{SOCKETS}/{TYPE}", "0"]
    assert probe(f"fuse.{TYPE}", f"{TYPE}2").output.count("type:") == 2


def test_a_type_in_json_has_its_details(listen, shown):
    listen(TYPE)
    listen(f"{TYPE}2")
    row, = shown(TYPE)
    assert row["type"] == TYPE
    assert {"exposure": None, "sandbox": None, "open": None, "service": None}.items() <= row.items()


@pytest.mark.parametrize("name", ["nothing", "../toy", "", "x" * 300, "a\x1b[2J"])
def test_a_type_that_is_not_there_is_named(listen, probe, name):
    listen(TYPE)
    failed = probe(name)
    assert failed.code == FAILED and failed.output == "" and ": no service" in failed.one_line()
    both = probe(name, TYPE)
    assert both.code == FAILED and both.one_line() and TYPE in both.output


def test_a_check_says_by_its_exit_code_whether_a_service_can_be_used(listen, probe):
    listen(TYPE, mode=0o220)
    listen(f"{TYPE}2", mode=0o222)
    assert probe("--check", TYPE)[:3] == (0, "", "")
    assert probe("--check", f"fuseblk.{TYPE}", f"{TYPE}2")[:3] == (0, "", "")
    assert probe("--check", TYPE, "nothing")[:3] == (FAILED, "", "")
    assert probe("--check", f"{TYPE}2", command=[*AS_NOBODY, *PROBE])[:3] == (0, "", "")
    assert probe("--check", TYPE, command=[*AS_NOBODY, *PROBE])[:3] == (FAILED, "", "")


def test_a_check_of_what_does_not_listen_or_is_not_safe_fails(listen, probe):
    listen(TYPE, backlog=None)
    assert probe("--check", TYPE)[:3] == (FAILED, "", "")
    listen(f"{TYPE}2")
    with directory_as(NOBODY, 0o755):
        assert probe("--check", f"{TYPE}2")[:3] == (FAILED, "", "")


WRONG = {  # words, and what the line names
    "--check": "missing TYPE operand", "--check -m x": "--check", "--nonsense": "--nonsense", "x --nonsense": "--nonsense",
    "-x": "'x'", "-nx": "'x'", "-o": "-o", "x -o": "-o", "-o type,": "column", "-o nonsense": "nonsense",
    "-m -o state": "state", "--timeout 0": "--timeout", "--timeout soon": "soon", "--timeout": "--timeout",
    "-m --hello": "--hello", "--json=1": "'--json' doesn't allow an argument", "--mounts=": "'--mounts' doesn't allow",
    "-J --hello=x": "'--hello' doesn't allow", "--output": "'--output' requires", "--json -nx": "'x'",
    "--nonsense=1": "--nonsense", "--hell=o": "'--hell' doesn't allow",
}


@pytest.mark.parametrize("words, named", WRONG.items(), ids=WRONG)
def test_wrong_usage_is_named(probe, words, named):
    failed = probe(*words.split())
    assert failed.code == FAILED and failed.output == "" and named in failed.usage_error()
