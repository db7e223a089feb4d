# SPDX-License-Identifier: LGPL-2.1-or-later
"""A name for resources that all test runs on this machine share: cgroups, machines, abstract sockets.

Each process of pytest-xdist has its own, which begins with that of the run.
"""

import os
import secrets

RUN = os.environ.setdefault("FSVC_TEST_RUN", secrets.token_hex(3))
RUN_ID = RUN + os.environ.get("PYTEST_XDIST_WORKER", "")
