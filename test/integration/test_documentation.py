# SPDX-License-Identifier: LGPL-2.1-or-later
"""Manual pages and --help agree, and all documents are valid."""

import re
import shlex
import subprocess

import pytest

from kit.manual_pages import (
    OPTION, PAGES, applets, header_prototypes, help_options, help_text, normalize_spaces, page, page_options, sections,
    unescape_roff,
)
from kit.build_options import REPOSITORY

PROGRAMS = ["fsvc", *applets()]
CHECKERS = ["groff", "-man", "-ww", "-z"], ["mandoc", "-T", "lint", "-W", "warning"]
LIBRARY = [path for path in PAGES if path.suffix == ".3"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_and_manual_page_have_same_options(program):
    assert {option for option in page_options(program) if option[0] == "-"} == help_options(program)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_and_manual_page_have_same_fsvc_mount_options(program):
    own = {option for option in OPTION.findall(help_text(program)) if option[0] != "-"}
    assert {option for option in page_options(program) if option[0] != "-"} == own


def exit_codes(text):
    return set(re.findall(r"(?<![\w%-])\d+\b", text))


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_and_manual_page_have_same_exit_statuses(program):
    explained = unescape_roff("\n".join(sections(page(program))["EXIT STATUS"]))
    listed = re.split("Exit (?:code|status):", help_text(program))[-1]
    assert exit_codes(listed) == exit_codes(explained) != set()


def test_help_and_manual_page_have_same_columns():
    for title in "services", "mounts":
        listed = re.search(rf"^Columns of {title}:.*?(?=^Columns|\n\n)", help_text("fsvc-probe"), re.MULTILINE | re.DOTALL)[0]
        lines = sections(page("fsvc-probe"))[f"COLUMNS OF {title.upper()}"]
        explained = {name for line, before in zip(lines[1:], lines) if before == ".TP" for name in line.split(", ")}
        assert set(re.findall(r"\b[A-Z]{3,}\b", listed)) == explained


def test_page_of_fsvc_lists_all_applets_with_their_summaries():
    summaries = dict(re.findall(r"^  ([a-z][\w.-]+) +(\S.*)$", help_text("fsvc"), re.MULTILINE))
    assert list(summaries) == applets()
    listed = " ".join(unescape_roff("\n".join(sections(page("fsvc"))["APPLETS"])).split())
    for applet, summary in summaries.items():
        assert applet in listed
        assert summary.removesuffix("; not for you") in listed


# the library


def synopsis(path):
    """Return the prototypes in a page, by function name."""
    lines = [shlex.split(line[4:]) for line in sections(path)["SYNOPSIS"] if line.startswith(".BI ")]
    text = normalize_spaces(" ".join("".join(tokens) for tokens in lines))
    found = re.findall(r"((?:struct )?\w+ \**(fuse_service_\w+)\(.*?\));", text)
    return {name: prototype for prototype, name in found}


def test_header_and_manual_pages_have_same_functions():
    shown = [item for path in LIBRARY for item in synopsis(path).items()]
    assert len(shown) == len(dict(shown))  # each in one page only
    assert dict(shown) == header_prototypes()


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.name)
def test_each_function_of_page_has_a_link(path):
    """Compare the names in NAME, in SYNOPSIS, and in the list of links in meson.build."""
    named = unescape_roff(" ".join(sections(path)["NAME"])).partition(" - ")[0].replace(",", " ").split()
    links = re.search(rf"'{path.stem}': \[(.*?)\]", (REPOSITORY / "doc/meson.build").read_text())
    linked = {f"fuse_service_{name}" for name in re.findall(r"'(\w+)'", links[1])} | {path.stem}
    assert set(named) == linked
    assert set(synopsis(path)) in ({*named}, {*named} - {"fuse_service"})


# all pages


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
@pytest.mark.parametrize("checker", CHECKERS, ids=lambda command: command[0])
def test_page_has_no_warnings(path, checker):
    done = subprocess.run([*checker, path], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_references_to_own_pages_exist(path):
    own = {f"{path.stem}({path.suffix[1:]})" for path in PAGES} | {f"{name}(3)" for name in header_prototypes()}
    found = re.findall(r"^\.BR (\S+) \((\d)\)", unescape_roff(path.read_text()), re.MULTILINE)
    named = {f"{name}({section})" for name, section in found}
    assert {name for name in named if name.startswith(("fsvc", "fuservice", "fuse_service", "mount.fuse"))} <= own


# other documents


@pytest.mark.parametrize("path", [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("doc/*.md")], ids=lambda path: path.name)
def test_links_of_document_exist(path):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


UNITS = "10-sandbox.conf", "20-network.conf", "10-limits.conf"
ASSIGNMENT = re.compile(r"^([A-Z]\w+)=(.*)$", re.MULTILINE)
PLACEHOLDER = re.compile(r"@\w+@$")
MAX_VALUE_LENGTH = 72


def documented_settings(title):
    """Return the settings that doc/security.md documents in the section TITLE."""
    text = (REPOSITORY / "doc/security.md").read_text()
    below = re.search(rf"^## `{re.escape(title)}`.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[0]
    rows = re.findall(r"^\| (`.*?`) \|", below, re.MULTILINE)
    return [line for row in rows for line in re.findall(r"`(.*?)`", row)]


@pytest.mark.parametrize("unit", UNITS)
def test_each_setting_of_sandbox_is_documented(unit):
    """Settings with long values or placeholders are page_options by name."""
    lines = ASSIGNMENT.findall((REPOSITORY / f"units/{unit}.in").read_text())
    by_name = re.compile(rf"@\w+@|.{{{MAX_VALUE_LENGTH},}}")
    wanted = {f"{name}=..." if by_name.fullmatch(value) else f"{name}={PLACEHOLDER.sub('', value)}" for name, value in lines}
    assert set(documented_settings(unit)) == wanted
