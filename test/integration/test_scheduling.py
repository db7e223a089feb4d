# SPDX-License-Identifier: LGPL-2.1-or-later
"""A test that ends its process fails by its name, and the others are run."""

import os
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("xdist", reason="pytest-xdist is not installed")

TESTS = """
import os, pytest

@pytest.mark.parametrize("number", range(4))
def test_first(number):
    pass

def test_ends_its_process():
    os._exit(1)

@pytest.mark.parametrize("number", range(5))
def test_last(number):
    pass
"""


def test_crashed_test_is_named_and_the_others_run(work):
    (work / "test_it.py").write_text(TESTS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(["/usr/bin/python3", "-m", "pytest", "-p", "selection", "-p", "no:cacheprovider", "-n2",
                           "--dist=loadgroup", "--max-worker-restart=3", "test_it.py"], cwd=work, text=True, timeout=60,
                          env=environment | {"PYTHONPATH": str(Path(__file__).parent)}, capture_output=True)
    assert "1 failed, 9 passed" in done.stdout, done.stdout + done.stderr
    assert "crashed while running 'test_it.py::test_ends_its_process'" in done.stdout
