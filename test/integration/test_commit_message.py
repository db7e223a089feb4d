# SPDX-License-Identifier: LGPL-2.1-or-later
"""test/commit-message, the commit-msg hook: which messages it accepts, and what it says about the others."""

import subprocess

import pytest

from kit.build_options import REPOSITORY

HOOK = REPOSITORY / "test/commit-message"
BODY = "\n\nThe worker may block in umount2(2) while the device hangs.\n"


@pytest.fixture
def check(work):
    """Run the hook for a message."""
    def check(message):
        (work / "message").write_text(message)
        return subprocess.run([HOOK, work / "message"], stdin=subprocess.DEVNULL, capture_output=True, text=True)

    return check


@pytest.mark.parametrize("message", [
    "helper: refuse OPEN with O_PATH" + BODY,
    "umount: close stdout in the waiter process" + BODY,
    "doc/releases.md: update the table" + BODY,
    "base, mount: embed the table" + BODY,
    "test: need no network" + BODY,
    "x: " + "fix".ljust(69, "y") + BODY,
    "\n\nhelper: add a row" + BODY + "# Please enter the commit message for your changes.\n",
    "helper: add a row" + BODY + "# ------------------------ >8 ------------------------\nno part: of the message\n",
    "Merge branch 'docs'\n",
    "fixup! helper: refuse OPEN with O_PATH\n",
])
def test_well_formed_message_is_accepted(check, message):
    done = check(message)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("message, problem", [
    ("Signals are held back in one place" + BODY, "subject: no area"),
    ("helper:refuse OPEN" + BODY, "subject: no area"),
    ("helper: " + BODY, "subject: no area"),
    ("" + BODY, "subject: no area"),
    ("x: " + "fix".ljust(70, "y") + BODY, "subject: 73 characters"),
    ("helper: refused OPEN" + BODY, "subject: 'refused' is not an imperative"),
    ("helper: refusing OPEN" + BODY, "subject: 'refusing' is not an imperative"),
    ("helper: Refuses OPEN" + BODY, "subject: 'Refuses' is not an imperative"),
    ("helper: fixes and more" + BODY, "subject: 'fixes' is not an imperative"),
    ("helper: tries again" + BODY, "subject: 'tries' is not an imperative"),
    ("helper: the mount is checked" + BODY, "subject: 'the' is not an imperative"),
    ("helper: refuse OPEN." + BODY, "subject: full stop"),
    ("helper: refuse OPEN\nwith O_PATH" + BODY, "second line: not empty"),
    ("helper: refuse OPEN\n", "body: missing"),
    ("helper: refuse OPEN\n\n# only a comment\n\n", "body: missing"),
    ("helper: refuse OPEN\nno second line\n", "second line: not empty"),
])
def test_malformed_message_is_refused_with_the_reason(check, message, problem):
    done = check(message)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"commit-message: {problem}" in done.stderr


def test_hook_is_installed_by_pre_commit():
    config = (REPOSITORY / ".pre-commit-config.yaml").read_text()
    assert "entry: test/commit-message\n" in config and "stages: [commit-msg]\n" in config
