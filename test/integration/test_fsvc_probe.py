# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsvc-probe without systemd: states, output formats, checks and usage errors."""

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

DEFAULT_COLUMNS = ["TYPE", "STATE", "UNIT", "ENABLED", "MOUNTS", "LIMIT", "SERVER"]
DEFAULT_JSON_KEYS = ["type", "state", "socket", "unit", "enabled", "mounts", "limit", "server"]


# states


def test_listening_service_is_ready(listen, state):
    listen(TYPE)
    assert state() == "ready"


def test_socket_without_listener_is_not_listening(listen, state):
    listen(TYPE, backlog=None)
    assert state() == "not-listening"


def test_stream_socket_is_not_listening(closing, state):
    other = closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    other.bind(f"{SOCKETS}/{TYPE}")
    other.listen()
    assert state() == "not-listening"
    os.unlink(f"{SOCKETS}/{TYPE}")


def test_renamed_socket_of_listener_is_ready(listen, state, shown):
    """fsvc-listen renames its socket to its final name when it listens."""
    listen(f".{TYPE}")
    assert shown() == []
    os.rename(f"{SOCKETS}/.{TYPE}", f"{SOCKETS}/{TYPE}")
    assert state() == "ready"
    os.unlink(f"{SOCKETS}/{TYPE}")


def test_socket_name_that_imitates_proc_net_unix_is_not_trusted(listen, state, closing, work, monkeypatch):
    """The name of a socket contains a line of the format of /proc/net/unix."""
    listen(TYPE, backlog=None)
    monkeypatch.chdir(work)
    name = f"x\n0: 2 0 10000 5 1 1 {SOCKETS}/{TYPE}"
    os.makedirs(os.path.dirname(name))
    other = closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    other.bind(name)
    other.listen()
    assert f"\n0: 2 0 10000 5 1 1 {SOCKETS}/{TYPE}\n" in Path("/proc/net/unix").read_text()
    assert state() == "not-listening"


def test_service_is_refused_to_user_without_write_permission(listen, state):
    listen(TYPE, mode=0o220)
    assert state() == "ready"
    assert state(command=[*AS_NOBODY, *PROBE]) == "refused"


def test_service_is_ready_for_user_with_write_permission(listen, state):
    listen(TYPE, mode=0o222)
    assert state(command=[*AS_NOBODY, *PROBE]) == "ready"


@pytest.mark.parametrize("owner, mode", [(NOBODY, 0o755), (0, 0o775), (0, 0o757)])
def test_writable_directory_makes_services_unsafe(listen, shown, owner, mode):
    listen(TYPE)
    with directory_as(owner, mode):
        row, = shown("-O")
        assert row["state"] == "unsafe" and "users other than root" in row["reason"]


def test_socket_of_other_user_is_unsafe(listen, shown):
    listen(TYPE)
    os.chown(f"{SOCKETS}/{TYPE}", NOBODY, 0)
    row, = shown("-O")
    assert row["state"] == "unsafe" and "not a socket owned by root" in row["reason"]


def test_other_files_are_not_services(shown):
    with open(f"{SOCKETS}/file", "w"):
        os.symlink("nowhere", f"{SOCKETS}/link")
        os.mkdir(f"{SOCKETS}/directory")
    try:
        assert shown() == []
    finally:
        os.unlink(f"{SOCKETS}/file")
        os.unlink(f"{SOCKETS}/link")
        os.rmdir(f"{SOCKETS}/directory")


def test_missing_directory_means_no_services(probe, shown):
    """The program runs with a root directory that does not contain it."""
    namespace = ["unshare", "--mount", "sh", "-c", f'umount -l {SOCKETS}; [ -d {SOCKETS} ] || exec "$@"; '
                 f'mount -t tmpfs none /run; exec "$@"', "sh", *PROBE]
    assert shown(command=namespace) == []
    assert probe(command=namespace)[:3] == (0, "", "")


@pytest.mark.unsanitized
def test_missing_proc_is_reported(listen, probe):
    listen(TYPE)
    hidden = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc; exec "$@"', "sh", *PROBE]
    for arguments in [], ["-m"], ["-J"]:
        failed = probe(*arguments, command=hidden)
        assert failed.code == FAILED and failed.output == "" and "mountinfo" in failed.one_line()
    assert probe("--check", TYPE, command=hidden)[:3] == (0, "", "")


def test_unreadable_directory_is_reported(listen, probe):
    listen(TYPE)
    with directory_as(0, 0o700):
        failed = probe(command=[*AS_NOBODY, *PROBE])
    assert failed.code == FAILED and failed.output == "" and SOCKETS in failed.one_line()


def test_probe_does_not_connect_to_services(listen, probe):
    listener = listen(TYPE)
    for arguments in [], ["-J"], [TYPE], ["--check", TYPE], ["-O"], ["-m"]:
        assert probe(*arguments).code == 0
    assert not listener.waits(0.2)


# columns about systemd


def test_columns_of_systemd_are_empty_without_systemd(listen, probe, shown):
    listen(TYPE)
    row, = shown()
    assert row == {"type": TYPE, "state": "ready", "socket": f"{SOCKETS}/{TYPE}", "unit": None, "enabled": None,
                   "mounts": 0, "limit": None, "server": None}
    result = probe()
    assert result.errors == ""
    assert [line.split() for line in result.output.splitlines()] == [DEFAULT_COLUMNS, [TYPE, "ready", "0"]]


def test_rows_are_sorted_by_type(listen, shown):
    for name in "c", "a", "b":
        listen(TYPE + name)
    assert [row["type"] for row in shown()] == [TYPE + name for name in "abc"]


# output formats


def test_json_keys_are_columns_in_lower_case(listen, shown, probe):
    listen(TYPE)
    row, = shown()
    assert list(row) == DEFAULT_JSON_KEYS
    every, = shown("-O")
    assert all(name == name.lower() for name in every)
    assert set(re.findall(r"\b[A-Z]{4,}\b", probe("--help").output)) >= {name.upper() for name in every}


def test_columns_are_selected_by_name(listen, probe):
    listen(TYPE)
    assert probe("-o", "state,TYPE").output.splitlines()[0].split() == ["STATE", "TYPE"]
    assert probe("--output=+socket").output.splitlines()[0].split() == [*DEFAULT_COLUMNS, "SOCKET"]
    assert json.loads(probe("-J", "-o", "Socket").output) == {"services": [{"socket": f"{SOCKETS}/{TYPE}"}]}


def test_raw_output_separates_columns_by_one_space(listen, probe):
    listen(f"{TYPE} and more")
    listen(TYPE)
    arguments = ["--raw", "-o", "TYPE,STATE,MOUNTS"]
    lines = [f"{TYPE} ready 0", f"{TYPE}\\x20and\\x20more ready 0"]
    assert probe(*arguments).output.splitlines() == ["TYPE STATE MOUNTS", *lines]
    assert probe("--noheadings", *arguments).output.splitlines() == lines


@pytest.mark.parametrize("name, shown", [("back\\slash", "back\\x5cslash"), ("a b\nc\t", "a\\x20b\\x0ac\\x09"),
                                         ("\x1b[2J", "\\x1b[2J"), ("\\x1b[2J", "\\x5cx1b[2J"), ("\u00e4", "\\xc3\\xa4")])
def test_raw_output_can_be_decoded(listen, probe, name, shown):
    """As in util-linux, each \\xNN is a byte."""
    listen(TYPE + name)
    assert probe("-rn", "-o", "TYPE").output == f"{TYPE}{shown}\n"


def test_noheadings_prints_only_rows(listen, probe):
    listen(TYPE)
    assert [line.split() for line in probe("-n").output.splitlines()] == [[TYPE, "ready", "0"]]


def test_empty_list_is_valid_output(probe):
    assert json.loads(probe("-J").output) == {"services": []}
    assert json.loads(probe("-mJ").output) == {"mounts": []}
    assert probe()[:3] == probe("-m")[:3] == probe("-r")[:3] == (0, "", "")


def test_table_columns_are_aligned(listen, probe):
    listen(TYPE)
    listen(f"{TYPE}-with-a-longer-name")
    lines = probe().output.splitlines()
    assert len({line.index(word) for line, word in zip(lines, ["STATE", "ready", "ready"])}) == 1


def libsmartcols_path():
    """Return the path of libsmartcols, or None."""
    name = ctypes.util.find_library("smartcols")
    for line in Path("/proc/self/maps").read_text().splitlines() if ctypes.CDLL(name) else []:
        if name in line:
            return line.split()[-1]
    return None


def test_table_is_raw_without_libsmartcols_and_json_is_unchanged(listen, probe, work, shown):
    listen(TYPE)
    before = shown(), probe("-r").output
    (work / "none").touch()
    mounts.mount(work / "none", libsmartcols_path(), None, mounts.BIND)
    try:
        assert probe()[:3] == (0, before[1], "")
        assert shown() == before[0]
    finally:
        mounts.detach(libsmartcols_path())


def run_on_terminal(*arguments, **environment):
    terminal, other = pty.openpty()
    with subprocess.Popen([*PROBE, *arguments], stdout=other, env={"TERM": "xterm", **environment}) as program:
        os.close(other)
        output = b""
        with contextlib.suppress(OSError):  # reading from a terminal fails at its end
            while more := os.read(terminal, 4096):
                output += more
    os.close(terminal)
    assert program.returncode == 0
    return output.decode()


@pytest.mark.parametrize("arguments", [[], [TYPE]], ids=["table", "details"])
def test_colors_are_only_used_on_terminals(listen, probe, arguments):
    listen(TYPE)
    assert "\x1b[32mready\x1b[0m" in run_on_terminal(*arguments)
    assert "\x1b[32m" in run_on_terminal(*arguments, NO_COLOR="")
    assert "\x1b" not in run_on_terminal(*arguments, NO_COLOR="1")
    assert "\x1b" not in run_on_terminal(*arguments, TERM="dumb")
    assert "\x1b" not in probe(*arguments, env={"TERM": "xterm"}).output


@pytest.mark.parametrize("arguments", [[], ["-r"], ["-J"], ["-O"], [f"{TYPE}{HOSTILE}"],
                                   ["--hello", "--timeout", "1", f"{TYPE}{HOSTILE}"]],
                         ids=["table", "raw", "json", "all", "details", "hello"])
def test_control_characters_of_type_are_escaped(listen, probe, arguments):
    listen(f"{TYPE}{HOSTILE}")
    result = probe(*arguments)
    assert printable(result.output) and printable(result.errors)
    assert "\\x1b[2Jred\\xc2\\x9b31m" in result.output.replace("\\\\", "\\")


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "\u00e4\u00f6\u4e16", "a\tb", b"\xff\xfe"])
def test_json_is_valid_for_any_type(listen, shown, name):
    name = os.fsdecode(name)
    listen(TYPE + name)
    row, = shown()
    plain = name.isprintable() and name.isascii() or name.isalpha() and "\udcff" not in name
    assert row["type"] == TYPE + (name if plain else {"a\tb": "a\\x09b"}.get(name, "\\xff\\xfe"))


# details and checks of types


def test_details_of_types_are_printed(listen, probe):
    listen(TYPE)
    listen(f"{TYPE}2")
    lines = probe(TYPE).output.splitlines()
    assert [line.split(":", 1)[0] for line in lines] == ["type", "state", "socket", "mounts"]
    assert [line.split()[-1] for line in lines] == [TYPE, "ready", f"{SOCKETS}/{TYPE}", "0"]
    assert probe(f"fuse.{TYPE}", f"{TYPE}2").output.count("type:") == 2


def test_json_of_type_has_details(listen, shown):
    listen(TYPE)
    listen(f"{TYPE}2")
    row, = shown(TYPE)
    assert row["type"] == TYPE
    assert {"exposure": None, "sandbox": None, "open": None, "service": None}.items() <= row.items()


@pytest.mark.parametrize("name", ["nothing", "../toy", "", "x" * 300, "a\x1b[2J"])
def test_missing_type_is_named_in_error(listen, probe, name):
    listen(TYPE)
    failed = probe(name)
    assert failed.code == FAILED and failed.output == "" and ": no service" in failed.one_line()
    both = probe(name, TYPE)
    assert both.code == FAILED and both.one_line() and TYPE in both.output


def test_check_succeeds_if_service_can_be_used(listen, probe):
    listen(TYPE, mode=0o220)
    listen(f"{TYPE}2", mode=0o222)
    assert probe("--check", TYPE)[:3] == (0, "", "")
    assert probe("--check", f"fuseblk.{TYPE}", f"{TYPE}2")[:3] == (0, "", "")
    assert probe("--check", TYPE, "nothing")[:3] == (FAILED, "", "")
    assert probe("--check", f"{TYPE}2", command=[*AS_NOBODY, *PROBE])[:3] == (0, "", "")
    assert probe("--check", TYPE, command=[*AS_NOBODY, *PROBE])[:3] == (FAILED, "", "")


def test_check_fails_if_service_is_unsafe_or_not_listening(listen, probe):
    listen(TYPE, backlog=None)
    assert probe("--check", TYPE)[:3] == (FAILED, "", "")
    listen(f"{TYPE}2")
    with directory_as(NOBODY, 0o755):
        assert probe("--check", f"{TYPE}2")[:3] == (FAILED, "", "")


USAGE_ERRORS = {  # arguments: part of the error message
    "--check": "missing TYPE operand", "--check -m x": "--check", "--nonsense": "--nonsense", "x --nonsense": "--nonsense",
    "-x": "'x'", "-nx": "'x'", "-o": "-o", "x -o": "-o", "-o type,": "column", "-o nonsense": "nonsense",
    "-m -o state": "state", "--timeout 0": "--timeout", "--timeout soon": "soon", "--timeout": "--timeout",
    "-m --hello": "--hello", "--json=1": "'--json' doesn't allow an argument", "--mounts=": "'--mounts' doesn't allow",
    "-J --hello=x": "'--hello' doesn't allow", "--output": "'--output' requires", "--json -nx": "'x'",
    "--nonsense=1": "--nonsense", "--hell=o": "'--hell' doesn't allow",
}


@pytest.mark.parametrize("arguments, message", USAGE_ERRORS.items(), ids=USAGE_ERRORS)
def test_usage_error_names_argument(probe, arguments, message):
    failed = probe(*arguments.split())
    assert failed.code == FAILED and failed.output == "" and message in failed.usage_error()
