"""A connect without a clear answer: what the gateway may have begun is logged out there."""

import pytest
from sqlalchemy import select, update
from tests.integration.numbers.conftest import Desk
from tests.support.scripted_gateway import Failure

from groupline.errors import GrouplineError
from groupline.models import Gateway, PendingLogout
from groupline.numbers.rules import START_GRACE


async def pending(desk: Desk) -> list[PendingLogout]:
    async with desk.database.reading() as session:
        return list(await session.scalars(select(PendingLogout)))


@pytest.mark.parametrize("failure", ["silence", "reset", "500", "html"])
async def test_what_may_have_begun_is_logged_out(desk: Desk, failure: Failure) -> None:
    desk.gateway.failing = failure
    with pytest.raises(GrouplineError):
        await desk.connect()
    assert await desk.sessions() == []
    [(_, sid)] = desk.gateway.calls
    assert [each.gateway_session_id for each in await pending(desk)] == [sid]

    desk.gateway.failing = None
    desk.gateway.says(sid, "qr")
    await desk.sweep()
    assert desk.gateway.count("disconnect") == 0, "the connect may still be under way"
    desk.clock.advance(START_GRACE.total_seconds())
    await desk.sweep()
    assert (desk.gateway.count("disconnect", sid), await pending(desk)) == (1, [])
    assert sid not in desk.gateway.statuses


@pytest.mark.parametrize(
    "answer",
    [(422, {"error": "no free slot"}), (200, {"success": False, "error": "no free slot"})],
)
async def test_what_was_refused_is_not(desk: Desk, answer: tuple[int, dict[str, object]]) -> None:
    desk.gateway.connect_answer = answer
    with pytest.raises(GrouplineError, match="no free slot"):
        await desk.connect()
    assert (await desk.sessions(), await pending(desk)) == ([], [])


async def test_what_never_left_is_not(desk: Desk) -> None:
    async with desk.database.writing() as session:
        await session.execute(update(Gateway).values(base_url="http://127.0.0.1:1"))
    with pytest.raises(GrouplineError):
        await desk.connect()
    assert (await desk.sessions(), await pending(desk)) == ([], [])
