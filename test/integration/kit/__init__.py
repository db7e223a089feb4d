# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the integration tests share: both sides of the protocol written from its description, never through the
project's code, and what they need of the machine."""
