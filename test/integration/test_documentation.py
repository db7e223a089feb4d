# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the manual pages say and what --help says is the same, and both can be read."""

import re
import shlex
import subprocess

import pytest

from kit.manual_pages import (
    OPTION, PAGES, applets, declared, documented, offered, page, plain, sections, squeeze, told,
)
from kit.build_options import REPOSITORY

PROGRAMS = ["fsvc", *applets()]
CHECKERS = ["groff", "-man", "-ww", "-z"], ["mandoc", "-T", "lint", "-W", "warning"]
LIBRARY = [path for path in PAGES if path.suffix == ".3"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_option_is_in_the_help_and_in_the_page(program):
    assert {option for option in documented(program) if option[0] == "-"} == offered(program)


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_option_of_fsvcs_own_is_in_the_help_and_in_the_page(program):
    own = {option for option in OPTION.findall(told(program)) if option[0] != "-"}
    assert {option for option in documented(program) if option[0] != "-"} == own


def exit_codes(text):
    return set(re.findall(r"(?<![\w%-])\d+\b", text))


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_exit_code_is_in_the_help_and_in_the_page(program):
    explained = plain("\n".join(sections(page(program))["EXIT STATUS"]))
    help_text = re.split("Exit (?:code|status):", told(program))[-1]
    assert exit_codes(help_text) == exit_codes(explained) != set()


def test_each_column_is_in_the_help_and_in_the_page():
    for title in "services", "mounts":
        listed = re.search(rf"^Columns of {title}:.*?(?=^Columns|\n\n)", told("fsvc-probe"), re.MULTILINE | re.DOTALL)[0]
        lines = sections(page("fsvc-probe"))[f"COLUMNS OF {title.upper()}"]
        explained = {name for line, before in zip(lines[1:], lines) if before == ".TP" for name in line.split(", ")}
        assert set(re.findall(r"\b[A-Z]{3,}\b", listed)) == explained


def test_the_executables_own_page_has_each_applet_with_its_summary():
    summaries = dict(re.findall(r"^  ([a-z][\w.-]+) +(\S.*)$", told("fsvc"), re.MULTILINE))
    assert list(summaries) == applets()
    listed = " ".join(plain("\n".join(sections(page("fsvc"))["APPLETS"])).split())
    for applet, summary in summaries.items():
        assert applet in listed
        assert summary.removesuffix("; not for you") in listed


# the library


def synopsis(path):
    """By name, the functions that a page shows."""
    lines = [shlex.split(line[4:]) for line in sections(path)["SYNOPSIS"] if line.startswith(".BI ")]
    text = squeeze(" ".join("".join(words) for words in lines))
    found = re.findall(r"((?:struct )?\w+ \**(fuse_service_\w+)\(.*?\));", text)
    return {name: prototype for prototype, name in found}


def test_the_header_and_the_pages_have_the_same_functions():
    shown = [item for path in LIBRARY for item in synopsis(path).items()]
    assert len(shown) == len(dict(shown))  # each in one page
    assert dict(shown) == declared()


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.name)
def test_each_function_is_found_by_its_name(path):
    """The names in the first line, in the synopsis, and those that meson makes links for."""
    named = plain(" ".join(sections(path)["NAME"])).partition(" - ")[0].replace(",", " ").split()
    links = re.search(rf"'{path.stem}': \[(.*?)\]", (REPOSITORY / "doc/meson.build").read_text())
    linked = {f"fuse_service_{name}" for name in re.findall(r"'(\w+)'", links[1])} | {path.stem}
    assert set(named) == linked
    assert set(synopsis(path)) in ({*named}, {*named} - {"fuse_service"})


# all pages


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
@pytest.mark.parametrize("checker", CHECKERS, ids=lambda words: words[0])
def test_a_page_is_without_fault(path, checker):
    done = subprocess.run([*checker, path], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_points_to_pages_that_there_are(path):
    own = {f"{path.stem}({path.suffix[1:]})" for path in PAGES} | {f"{name}(3)" for name in declared()}
    found = re.findall(r"^\.BR (\S+) \((\d)\)", plain(path.read_text()), re.MULTILINE)
    named = {f"{name}({section})" for name, section in found}
    assert {name for name in named if name.startswith(("fsvc", "fuservice", "fuse_service", "mount.fuse"))} <= own


# the other documents


@pytest.mark.parametrize("path", [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("doc/*.md")], ids=lambda path: path.name)
def test_a_document_links_to_what_there_is(path):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


UNITS = "10-sandbox.conf", "20-network.conf", "10-limits.conf"
ASSIGNMENT = re.compile(r"^([A-Z]\w+)=(.*)$", re.MULTILINE)
FILLED_IN = re.compile(r"@\w+@$")
LONG = 72


def shown_lines(title):
    """The lines that the page has a row for, below one of its titles."""
    text = (REPOSITORY / "doc/security.md").read_text()
    below = re.search(rf"^## `{re.escape(title)}`.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[0]
    rows = re.findall(r"^\| (`.*?`) \|", below, re.MULTILINE)
    return [line for row in rows for line in re.findall(r"`(.*?)`", row)]


@pytest.mark.parametrize("unit", UNITS)
def test_each_line_of_the_sandbox_is_explained(unit):
    """Long ones, and those that the build fills in, by their names."""
    lines = ASSIGNMENT.findall((REPOSITORY / f"units/{unit}.in").read_text())
    by_name = re.compile(rf"@\w+@|.{{{LONG},}}")
    wanted = {f"{name}=..." if by_name.fullmatch(value) else f"{name}={FILLED_IN.sub('', value)}" for name, value in lines}
    assert set(shown_lines(unit)) == wanted
