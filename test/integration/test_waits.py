# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long both sides wait when nobody has said anything about it. One test, since this is the time that it takes."""

from kit.fake_helper import SERVERS_BY_NAME

SHORTEST, LONGEST = 25, 70  # seconds around the half minute that the first word may take; a whole mount has 90


def test_nobody_waits_longer_than_half_a_minute_for_the_first_word(start, activate):
    begun = start()
    begun.connect().receive_hello()
    silent = [activate(*command) for command in SERVERS_BY_NAME.values()]
    assert begun.service.has_ended(LONGEST)
    begun.blames_the_service()
    for waited in [begun.helper.wait(), *(helper.gives_up(within=LONGEST) for helper in silent)]:
        assert SHORTEST < waited.seconds < LONGEST
