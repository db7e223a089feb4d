# SPDX-License-Identifier: LGPL-2.1-or-later
"""The default timeouts of both sides. They are in one test, which takes as long as the timeout."""

from kit.fake_helper import SERVERS_BY_NAME

MIN_SECONDS, MAX_SECONDS = 25, 70  # the timeout of the first reply is 30 s, that of the whole mount 90 s


def test_first_reply_timeout_is_30_seconds_on_both_sides(start, activate):
    session = start()
    session.connect().receive_hello()
    waiting_helpers = [activate(*command) for command in SERVERS_BY_NAME.values()]
    assert session.service.has_ended(MAX_SECONDS)
    session.assert_blames_service()
    for waited in [session.helper.wait(), *(helper.assert_gives_up(within=MAX_SECONDS) for helper in waiting_helpers)]:
        assert MIN_SECONDS < waited.seconds < MAX_SECONDS
