# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the manual pages say and what --help says is the same, and both can be read."""

import re
import subprocess

import pytest

from kit.programs import FSVC, REPOSITORY

PAGES = sorted((REPOSITORY / "doc").glob("*.[1-9]"))
APPLETS = [page.stem for page in PAGES if page.stem != "fsvc"]
CHECKERS = ["groff", "-man", "-ww", "-z"], ["mandoc", "-T", "lint", "-W", "warning"]
OPTION = re.compile(r"(?<![\w.-])(--?[A-Za-z][\w-]*|fsvc\.\w+)")


def told(applet):
    return subprocess.run([FSVC, applet, "--help"], check=True, capture_output=True, text=True).stdout


def offered(applet):
    """The options that --help has a line for."""
    lines = re.findall(r"^  (-.*?)(?:  |$)", told(applet), re.MULTILINE)
    return {option for line in lines for option in OPTION.findall(line)}


def documented(applet):
    """The options that the page has a paragraph for: what stands behind .TP or .TQ."""
    text = (REPOSITORY / f"doc/{applet}.8").read_text().replace("\\-", "-")
    heads = re.findall(r"^\.T[PQ]\n\.[BI]+R? (.*)$", text, re.MULTILINE)
    return {option for head in heads for option in OPTION.findall(head.replace('"', " "))}


@pytest.mark.parametrize("applet", APPLETS)
def test_each_option_is_in_the_help_and_in_the_page(applet):
    assert {option for option in documented(applet) if option[0] == "-"} == offered(applet)


@pytest.mark.parametrize("applet", APPLETS)
def test_each_option_of_fsvcs_own_is_in_the_help_and_in_the_page(applet):
    own = {option for option in OPTION.findall(told(applet)) if option[0] != "-"}
    assert {option for option in documented(applet) if option[0] != "-"} == own


def test_each_applet_for_people_has_a_page():
    applets = subprocess.run([FSVC, "--list"], check=True, capture_output=True, text=True).stdout.split()
    assert set(applets) - set(APPLETS) == {"fusermount3"}  # not for people


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize("checker", CHECKERS, ids=lambda words: words[0])
def test_a_page_is_without_fault(page, checker):
    done = subprocess.run([*checker, page], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_points_to_pages_that_there_are(page):
    own = {f"{page.stem}({page.suffix[1:]})" for page in PAGES}
    text = page.read_text().replace("\\-", "-").replace("\\&", "")
    named = {f"{name}({section})" for name, section in re.findall(r"^\.BR (\S+) \((\d)\)", text, re.MULTILINE)}
    assert {name for name in named if name.startswith(("fsvc", "fuservice", "mount.fuse"))} <= own
