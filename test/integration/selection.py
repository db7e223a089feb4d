# SPDX-License-Identifier: LGPL-2.1-or-later
"""A plugin of pytest that selects the tests of a run and their order, for test/check.

    --long=PARTS    of the tests in test/long-tests, run those of these parts: none, or numbers with commas
    --share=N/M     run the N-th of M shares of all tests
    --no-machine    leave out tests that need a throwaway machine, a virtual machine or another release
    --no-sandbox    leave out tests of the sandbox of fsvc-listen
"""

import fnmatch
import functools
import pathlib
import zlib

import pytest

from kit import build_options

LONG_TESTS = pathlib.Path(__file__).resolve().parents[1] / "long-tests"
# A test file that contains one of these words starts a machine.
MACHINES = ("installed_machine", "throwaway_machine", "virtual_machine", "escape_machine", "release_report", "debian_releases")
# A test file that contains this word uses the sandbox of fsvc-listen.
SANDBOX = ("listener_fixtures",)
# The files that take longest are started first, so that all processes end at about the same time.
FIRST = ("test_releases.py", "test_debian_packages.py", "test_data_safety.py", "test_escape.py", "test_servers.py", "test_boot.py",
         "test_initramfs.py", "test_mount_commands.py", "test_default_timeouts.py", "test_attack_races.py", "test_fsvc_probe_machine.py")


def pytest_addoption(parser):
    parser.addoption("--long", metavar="PARTS", help="parts of test/long-tests to run, or none (default: all)")
    parser.addoption("--share", metavar="N/M", help="run this share of the tests")
    parser.addoption("--no-machine", action="store_true", help="leave out tests that need a machine")
    parser.addoption("--no-sandbox", action="store_true", help="leave out tests of fsvc-listen's sandbox")


def path_of(item):
    """Return the path of the file of a test. pytest before 7.0, as in Debian 11, has no item.path."""
    return pathlib.Path(str(item.fspath))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Leave out tests that the build or the options exclude, and sort the rest."""
    if config.getoption("--long"):
        check_long_tests(items)
    wanted = [is_of_this_build, is_long_enough(config.getoption("--long")), is_in_share(config.getoption("--share"))]
    if config.getoption("--no-machine"):
        wanted.append(lambda item: not has_word(path_of(item), MACHINES))
    if config.getoption("--no-sandbox"):
        wanted.append(lambda item: not has_word(path_of(item), SANDBOX))
    chosen = {item: all(condition(item) for condition in wanted) for item in items}
    config.hook.pytest_deselected(items=[item for item in items if not chosen[item]])
    items[:] = sorted(filter(chosen.get, items), key=sort_key)
    for item in items:
        if has_module_fixture(item):
            item.add_marker(pytest.mark.xdist_group(path_of(item).name))


def is_of_this_build(item):
    if item.get_closest_marker("unsanitized") and build_options.is_sanitized():
        return False
    return all(build_options.build_option(mark.args[0]) == mark.kwargs.get("value", True)
               for mark in item.iter_markers("needs"))


def check_long_tests(items):
    """Fail if a line of the table is for a test that has another name by now: it would be run each time."""
    for _, pattern in long_tests():
        file = pattern.partition("::")[0]
        tests = [item.nodeid for item in items if path_of(item).name == file]
        is_found = any(fnmatch.fnmatchcase(name, pattern) for name in tests)
        if not LONG_TESTS.with_name("integration").joinpath(file).exists() or (len(tests) > 1 and not is_found):
            raise pytest.UsageError(f"{LONG_TESTS}: no test matches {pattern}")


def long_tests():
    """Return the part and the pattern of each line of the table."""
    rows = [line.split() for line in LONG_TESTS.read_text().splitlines() if not line.startswith("#")]
    return [(part, pattern) for part, pattern in rows]


def is_long_enough(parts):
    """Return a function that returns true for a test that is not long, or that is long and in PARTS."""
    if parts is None:
        return lambda item: True
    left_out = [pattern for part, pattern in long_tests() if part not in parts.split(",")]
    return lambda item: not any(fnmatch.fnmatchcase(item.nodeid, pattern) for pattern in left_out)


def is_in_share(share):
    if share is None:
        return lambda item: True
    number, count = map(int, share.split("/"))
    return lambda item: zlib.crc32(item.nodeid.encode()) % count == number - 1


@functools.cache
def has_word(path, words):
    text = path.read_text()
    return any(word in text for word in words)


def sort_key(item):
    """Return the sort key of a test. Tests of a file stay in their order."""
    first = FIRST.index(path_of(item).name) if path_of(item).name in FIRST else len(FIRST)
    return not has_module_fixture(item), first


def has_module_fixture(item):
    """Return true if the test shares a module fixture with others, so that one process must run them."""
    definitions = item._fixtureinfo.name2fixturedefs.values()
    return any(found[-1].scope == "module" for found in definitions)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    if config.getoption("dist") != "loadgroup":
        return None
    from scheduling import Scheduler

    return Scheduler(config, log)
