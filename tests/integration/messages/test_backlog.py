"""Results that wait to be stored one by one, while the database comes and goes."""

import pytest
from structlog.testing import capture_logs
from tests.integration.messages.outbox import Outbox
from tests.integration.messages.refusing import unstorable
from tests.integration.messages.test_lock_order import in_flight, sent

from groupline.messages.backlog import Backlog
from groupline.messages.rules import Policy


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_what_is_left_when_the_database_goes_away_is_kept(outbox: Outbox) -> None:
    first, second = await in_flight(outbox)
    backlog = Backlog(outbox.database, outbox.clock, Policy())
    async with unstorable(outbox.database, second, condition="disk_full"):
        with pytest.raises(Exception, match="refused"):
            await backlog.store_each([await sent(outbox, each) for each in (first, second)])
        assert await outbox.statuses([first, second]) == ["sent", "sending"]
    assert len(backlog) == 1

    await backlog.store_each(backlog.take(2))

    assert await outbox.statuses([first, second]) == ["sent", "sent"]
    assert len(backlog) == 0


async def test_what_is_refused_is_tried_again_twice_and_then_given_up(
    outbox: Outbox,
) -> None:
    refused, other = await in_flight(outbox)
    backlog = Backlog(outbox.database, outbox.clock, Policy())
    results = [await sent(outbox, refused)]
    async with unstorable(outbox.database, refused):
        for _ in range(2):
            await backlog.store_each(results)
            results = backlog.take(1)
            assert [each.claim.id for each in results] == [refused]
        with capture_logs() as logs:
            await backlog.store_each([*results, await sent(outbox, other)])
    assert len(backlog) == 0
    assert [each["event"] for each in logs if each["log_level"] == "error"] == [
        "message.result_lost"
    ]
    assert await outbox.statuses([refused, other]) == ["sending", "sent"]
