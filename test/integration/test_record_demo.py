# SPDX-License-Identifier: LGPL-2.1-or-later
"""The recording in README.md shows what the programs print today.

It starts services with fsvc-listen, and so needs a kernel as the tests with kit.listening do.
"""

import os
import subprocess

import pytest

from kit.build_options import BUILD, REPOSITORY


@pytest.mark.needs("user_mounts")
@pytest.mark.unsanitized
def test_recording_is_that_of_a_real_run():
    done = subprocess.run([REPOSITORY / "test/record-demo"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env={**os.environ, "FSVC_BUILD": str(BUILD)}, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (REPOSITORY / "doc/demo.svg").read_text()
