# SPDX-License-Identifier: LGPL-2.1-or-later
"""Build, install and test fsvc in other Debian releases, with their tools, libraries and systemd.

In a container of the release, it is built with -Werror, the unit tests are run, it is installed, and the integration
tests without a machine are run with the Python and the pytest of the release. Then the tests with a machine boot the
systemd of the release; pytest runs on this system for these.
"""

from __future__ import annotations

import glob
import os
import subprocess
import tempfile
import time
from concurrent import futures
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from . import debian_releases
from .throwaway_machine import REPO

TESTS = REPO / "test" / "integration"
PYTEST = ("/usr/bin/python3", "-m", "pytest", "--color=no", "-q")
MINUTE_S = 60

# Packages that test/check installs for tests without a machine, and packages for a bootable system. RELEASES has the
# differences.
PACKAGES = (
    "gcc", "g++", "libc6-dev", "ninja-build", "pkg-config", "libcmocka-dev", "libfuse3-dev", "libsmartcols-dev",
    "libsystemd-dev", "python3-pytest", "python3-pytest-timeout", "python3-pytest-xdist",
    "fuse3", "squashfuse", "squashfs-tools", "fuse2fs", "ntfs-3g", "e2fsprogs", "util-linux", "mount",
    "procps", "patch", "groff", "man-db", "mandoc", "bash-completion", "fish", "zsh", "systemd", "systemd-sysv", "dbus",
)
RELEASES = {
    "bullseye": ("meson/bookworm",),  # its own version is too old
    "bookworm": ("meson",),
    "trixie": ("meson", "systemd-dev"),
    "sid": ("meson", "systemd-dev"),
}

# Tests of races and timeouts take a third of the time, and hardly depend on the release.
SLOW = ("test_attack_*.py", "test_default_timeouts.py")

# Test files with a machine, except two tests that take too long for four releases.
IN_A_MACHINE = ("test_machine.py", "test_mount_commands.py", "test_escape.py")
LEFT_OUT = "not thousand_mounts and not attacks_fail_with_installed"
# Leave out tests with a machine, with the sandbox, with other build options, and of the runner (pytest-xdist).
WITHOUT_MACHINE = ("--no-machine", "--no-sandbox", "--ignore=test_meson_options.py", "--ignore=test_scheduling.py")
ESCAPES = "test_escape.py::test_attempt_of_hostile_server_fails["

VERSIONS = {"systemd": "systemd", "libfuse": "libfuse3-dev", "gcc": "gcc", "Python": "python3"}
COLUMNS = ("release", *VERSIONS, "builds", "unit tests", "installs", "integration tests", "in a machine", "escapes")


class Explanation(NamedTuple):
    """The reason why a test fails in a release, if it is not a fault of fsvc."""

    release: str
    test: str
    reason: str


# An explained test that succeeds is also a failure.
EXPLAINED: tuple[Explanation, ...] = ()


class Result(NamedTuple):
    """The result of a test."""

    outcome: str  # passed, failed or skipped
    reason: str   # why


class StepFailed(Exception):
    """A step has failed, so that the next steps are useless. Contains its output."""


class Row:
    """The row of a release in the table, with notes and failures."""

    def __init__(self, release):
        self.release = release
        self.cells = dict.fromkeys(COLUMNS, "-") | {"release": release}
        self.skipped = ""  # reason if nothing could be tested
        self.failures = []  # unexplained failures
        self.notes = []  # failed or skipped tests, with reasons
        self.seconds = 0

    def add(self, column, results):
        """Add the numbers of the test results to a cell."""
        known = {each.test: each.reason for each in EXPLAINED if each.release == self.release}
        red = {name for name, result in results.items() if result.outcome == "failed"}
        self.failures += [f"{name}: {results[name].reason}" for name in sorted(red - known.keys())]
        self.failures += [f"{name}: no longer fails" for name in known.keys() & results.keys() - red]
        self.notes += [f"`{name}` fails: {known.get(name, 'unexplained')}" for name in sorted(red)]
        self.notes += sorted({f"skipped: {result.reason}" for result in results.values() if result.outcome == "skipped"})
        self.cells[column] = count(results)


def count(results):
    outcomes = [result.outcome for result in results.values()]
    numbers = {outcome: outcomes.count(outcome) for outcome in ("passed", "failed", "skipped")}
    return ", ".join(f"{number} {outcome}" for outcome, number in numbers.items() if number) or "none"


def examine(release, left_out=(), options=()):
    """Test a release without the test files LEFT_OUT, with OPTIONS for pytest in the container. Return its row."""
    row, started = Row(release), time.monotonic()
    try:
        root = debian_releases.unpacked(release, (*PACKAGES, *RELEASES[release]))
        with tempfile.TemporaryDirectory(prefix="fsvc-releases-", dir="/var/tmp") as build:
            os.chmod(build, 0o755)
            run_steps(row, root, Path(build), left_out, options)
    except debian_releases.Unavailable as reason:
        row.skipped = str(reason)
    except Exception as error:  # do not affect the other releases
        row.failures.append(f"{error}")
    row.seconds = time.monotonic() - started
    return row


def examine_all(releases, left_out=(), options=()):
    """Test several releases in parallel, one for each processor."""
    with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(examine, releases, [left_out] * len(releases), [options] * len(releases)))


def run_steps(row, root, build, left_out, options):
    """Run all steps until one fails."""
    row.cells.update(versions(root))
    for column, step in (("builds", compile_it), ("unit tests", unit_tests), ("installs", install)):
        try:
            row.cells[column] = step(root, build)
        except StepFailed:
            row.cells[column] = "FAILED"
            raise
    row.add("integration tests", integration_tests(root, build, left_out, options))
    found = machine_tests(root, build)
    row.add("in a machine", {name: result for name, result in found.items() if not name.startswith(ESCAPES)})
    row.add("escapes", {name: result for name, result in found.items() if name.startswith(ESCAPES)})
    tried = [result.outcome for name, result in found.items() if name.startswith(ESCAPES) and result.outcome != "skipped"]
    row.cells["escapes"] = f"{tried.count('passed')} of {len(tried)} refused"


# the steps


def versions(root):
    """Return the upstream versions of the packages."""
    asked = subprocess.run(["chroot", root, "dpkg-query", "--show", "--showformat=${Package} ${Version}\n",
                            *VERSIONS.values()], check=True, capture_output=True, text=True, env={"PATH": debian_releases.PATH}).stdout
    found = dict(line.split() for line in asked.splitlines())
    return {name: found[package].rpartition(":")[2].partition("-")[0] for name, package in VERSIONS.items()}


def compile_it(root, build):
    output_of(root, build, "meson", "setup", "--prefix=/usr", "-Dwerror=true", "-Dlibfuse3=enabled",
         build, REPO)
    output_of(root, build, "ninja", "-k0", "-C", build)
    return "yes"


def unit_tests(root, build):
    lines = output_of(root, build, "meson", "test", "--no-rebuild", "--print-errorlogs", "-C", build).splitlines()
    passed, = [line.split()[1] for line in lines if line.startswith("Ok:")]
    return f"{passed} passed"


def install(root, build):
    output_of(root, build, "sh", "-ec", f"meson install --no-rebuild -C {build} && fuservicemount3 --version")
    return "yes"


def integration_tests(root, build, left_out, options):
    """Run the tests in the container. systemd does not run there, and the inheritable capabilities are empty as in a
    service."""
    found = build / "without-machine.xml"
    done = run(root, build, "setpriv", "--inh-caps=-all", *PYTEST, f"--junitxml={found}", *WITHOUT_MACHINE,
               *(f"--ignore-glob={name}" for name in left_out), *options)
    return results(found, done)


def machine_tests(root, build):
    found = build / "in-a-machine.xml"
    environment = os.environ | {"FSVC_MACHINE_ROOT": str(root), "FSVC_BUILD": str(build), "PATH": debian_releases.PATH}
    done = call(*PYTEST, f"--junitxml={found}", "-k", LEFT_OUT, *(TESTS / name for name in IN_A_MACHINE), env=environment)
    return results(found, done)


def results(path, done):
    """Return the result of each test, by name."""
    if not path.exists():
        raise StepFailed(f"pytest: exit {done.returncode}\n{done.stdout[-4000:]}")
    found = {}
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname').rpartition('.')[2]}.py::{case.get('name')}"
        if name not in found or found[name].outcome == "passed":  # an error in teardown is a second entry
            found[name] = result(case)
    return found


def result(case):
    messages = {child.tag: child.get("message", "").partition("\n")[0] for child in case}
    for tag, outcome in ("failure", "failed"), ("error", "failed"), ("skipped", "skipped"):
        if tag in messages:
            return Result(outcome, messages[tag])
    return Result("passed", "")


# running


def container(root, build):
    """Return the command that enters the release. Only the build directory is kept."""
    devices = ("/dev/fuse", "/dev/loop-control", *glob.glob("/dev/loop[0-9]*"))
    return [*debian_releases.entered(root), "--volatile=overlay", "--private-network", "--capability=all",
            *(f"--bind={device}" for device in devices), f"--bind-ro={REPO}", f"--bind={build}", f"--chdir={TESTS}",
            f"--setenv=FSVC_BUILD={build}", "--setenv=PYTHONDONTWRITEBYTECODE=1", "--"]


def run(root, build, *command):
    """Run a command in the release, without the seccomp filter of nspawn, which refuses newer system calls."""
    return call(*container(root, build), *command, env={"PATH": debian_releases.PATH, "SYSTEMD_SECCOMP": "0"})


def output_of(root, build, *command):
    """Run a command that must succeed. Return its output."""
    done = run(root, build, *command)
    if done.returncode:
        raise StepFailed(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


def call(*command, env):
    process = subprocess.Popen([str(argument) for argument in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="backslashreplace", env=env,
                               preexec_fn=debian_releases.die_with_parent)
    try:
        output, _ = process.communicate(timeout=20 * MINUTE_S)
    finally:
        if process.poll() is None:
            process.terminate()  # SIGKILL would leave directories behind
            process.wait()
    return subprocess.CompletedProcess(command, process.returncode, output)


# the page


HEAD = """In each release, fsvc was built with warnings as errors, with the compiler and the libfuse of the release, and installed. The
integration tests that need no throwaway machine were run with Python and util-linux of the release. Then systemd of the
release was booted in a throwaway machine, and filesystems were mounted through services ({machine}). The column *escapes*
counts attacks by a server that was taken over, in the shipped sandbox. The kernel was {kernel}, that of the host.
[services.md](services.md) lists what older versions of systemd do not know.

The following tests were not run in the releases: a thousand mounts at once, the servers of [the table](servers.md), and
boots.
"""


def page(rows):
    """Return the generated text of doc/releases.md."""
    head = HEAD.format(kernel=os.uname().release.partition("-")[0], machine=", ".join(IN_A_MACHINE))
    lines = [head, line(COLUMNS), line("---" for _ in COLUMNS)]
    lines += [line(row.cells[column] for column in COLUMNS) for row in rows]
    notes = [f"- **{row.release}**: {note}" for row in rows
             for note in ([f"nothing could be tested: {row.skipped}"] if row.skipped else row.notes)]
    return "\n".join([*lines, "", *(["Failed or skipped tests:", "", *notes] if notes else ["No test failed."])])


def line(cells):
    return f"| {' | '.join(cells)} |"
