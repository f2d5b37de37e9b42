"""One session that the gateway cannot speak of is no gateway that is away, and no good session."""

from datetime import timedelta
from typing import Any

import pytest
from tests.integration.numbers.conftest import PHONE, Desk

from groupline.errors import UpstreamError
from groupline.gateways.outcomes import FailureKind
from groupline.numbers import views
from groupline.numbers.ask import verify_session
from groupline.numbers.views import NumberView

OTHER = "14155550136"
FAULTS = [(500, {"error": "database is locked"}), (200, "nonsense"), (429, {"error": "slow down"})]


async def shown(desk: Desk) -> dict[str, NumberView]:
    async with desk.database.reading() as session:
        listed = await views.list_numbers(session, desk.organization_id, desk.clock.now())
    return {view.number.phone_number: view for view in listed}


@pytest.mark.parametrize("answer", FAULTS)
@pytest.mark.parametrize("faulty", [PHONE, OTHER])
async def test_the_trouble_of_one_session_stays_its_own(
    desk: Desk, answer: tuple[int, Any], faulty: str
) -> None:
    rows = {phone: await desk.paired(phone) for phone in (PHONE, OTHER)}
    proven = (await desk.session(rows[faulty].id)).verified_at
    desk.gateway.statuses[rows[faulty].gateway_session_id] = answer
    since = desk.clock.now() + timedelta(seconds=60)
    healthy = OTHER if faulty == PHONE else PHONE
    for _ in range(3):
        await desk.period()
        gateway = await desk.gateway_row()
        assert (gateway.unreachable_since, gateway.last_error) == (None, None)
        assert (await shown(desk))[healthy].shown.state == "connected"

    row = await desk.session(rows[faulty].id)
    assert (row.status, row.verified_at, row.last_error_at) == ("connected", proven, since)
    number = (await shown(desk))[faulty]
    assert number.since == since
    assert number.shown.sentence.startswith(
        "Connected when last asked, 3 min ago. The gateway cannot say how this session is: "
    )

    desk.gateway.connects(row.gateway_session_id, faulty)
    await desk.period()
    row = await desk.session(row.id)
    assert (row.last_error, row.last_error_at) == (None, None)
    assert (await shown(desk))[faulty].shown.state == "connected"


async def test_the_only_session_of_a_healthy_gateway(desk: Desk) -> None:
    row = await desk.paired()
    desk.gateway.statuses[row.gateway_session_id] = FAULTS[0]
    with pytest.raises(UpstreamError, match="database is locked"):
        await verify_session(desk.context, desk.organization_id, row.id)
    assert (await desk.gateway_row()).unreachable_since is None
    assert "database is locked" in str((await desk.session(row.id)).last_error)


async def test_a_gateway_that_fails_for_all_is_away_and_one_that_is_back_is_not(
    desk: Desk,
) -> None:
    row, other = await desk.paired(), await desk.paired(OTHER)
    desk.gateway.failing = "500"
    await desk.period()
    gateway = await desk.gateway_row()
    assert (gateway.unreachable_since, gateway.last_error_code) == (
        desk.clock.now(),
        FailureKind.SERVER_ERROR,
    )
    assert {(await desk.session(each.id)).last_error for each in (row, other)} == {None}
    desk.gateway.failing = None
    for each in (row, other):
        desk.gateway.statuses[each.gateway_session_id] = FAULTS[0]
    await desk.period()
    assert (await desk.gateway_row()).unreachable_since is None, "it answers for all but these"


async def test_a_pairing_says_so_and_forgets_it(desk: Desk) -> None:
    row = await desk.connect()
    desk.gateway.statuses[row.gateway_session_id] = FAULTS[0]
    await desk.verify()
    asked = await desk.session(row.id)
    assert (asked.status, "database is locked" in str(asked.last_error)) == ("connecting", True)
    desk.gateway.says(row.gateway_session_id, "qr", qr="2@scan-me")
    desk.clock.advance(2)
    await desk.verify()
    scanned = await desk.session(row.id)
    assert (scanned.status, scanned.last_error) == ("qr_pending", None)
