"""Results that wait to be stored one by one, while the database comes and goes."""

import pytest
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
