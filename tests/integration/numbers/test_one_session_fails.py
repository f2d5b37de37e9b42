"""One session that the gateway cannot speak of is no gateway that is away, and no good session."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from tests.integration.numbers.conftest import PHONE, Desk

from groupline.errors import UpstreamError
from groupline.gateways.outcomes import FailureKind
from groupline.gateways.service import note_failure
from groupline.gateways.watch import FAILING_EVERY, GatewayWatch
from groupline.numbers import views
from groupline.numbers.ask import verify_session
from groupline.numbers.views import NumberView

OTHER = "14155550136"
FAULTS = [(500, {"error": "database is locked"}), (200, "nonsense"), (429, {"error": "slow down"})]


@dataclass
class Deaf:
    """For these sessions the gateway says nothing, or that our key is wrong."""

    silent: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


@pytest.fixture
def deaf(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Deaf:
    deaf, answering = Deaf(), desk.gateway._fail

    async def fail(request: web.Request) -> web.StreamResponse | None:
        asked_about = request.match_info.get("sid")
        if asked_about in deaf.silent and request.transport is not None:
            request.transport.abort()  # as a proxy in front of it does when its time is up
        if asked_about in deaf.refused:
            return web.json_response({"error": "Unauthorized"}, status=401)
        return await answering(request)

    monkeypatch.setattr(desk.gateway, "_fail", fail)
    return deaf


@pytest.mark.parametrize("how", ["silent", "refused"])
@pytest.mark.parametrize("faulty", [PHONE, OTHER])
async def test_silence_or_a_401_about_one_session_makes_no_gateway_unreachable(
    desk: Desk, deaf: Deaf, how: str, faulty: str
) -> None:
    rows = {phone: await desk.paired(phone) for phone in (PHONE, OTHER)}
    getattr(deaf, how).add(rows[faulty].gateway_session_id)
    healthy = OTHER if faulty == PHONE else PHONE

    for _ in range(3):
        await desk.period()
        assert (await desk.gateway_row()).unreachable_since is None
        assert (await shown(desk))[healthy].shown.state == "connected"

    row = await desk.session(rows[faulty].id)
    assert (row.status, row.last_error is None) == ("connected", False)
    with pytest.raises(UpstreamError):
        await verify_session(desk.context, desk.organization_id, row.id)
    assert (await desk.gateway_row()).unreachable_since is None


async def test_a_gateway_that_goes_away_in_the_middle_of_a_turn_is_noted_once_and_no_session(
    desk: Desk, deaf: Deaf, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [await desk.paired(phone) for phone in (PHONE, OTHER, "14155550137")]
    answering, asked = desk.gateway._fail, []

    async def dying(request: web.Request) -> web.StreamResponse | None:
        asked.append(request.path)
        desk.gateway.failing = "reset" if len(asked) > 1 else None
        return await answering(request)

    monkeypatch.setattr(desk.gateway, "_fail", dying)
    await desk.period()

    gateway = await desk.gateway_row()
    assert gateway.last_error_code == FailureKind.UNREACHABLE
    assert "/health" in asked
    assert {(await desk.session(row.id)).last_error for row in rows} == {None}


async def test_the_watch_looks_at_once_at_a_gateway_that_failed_somebody(desk: Desk) -> None:
    gateways, clock = desk.context.gateways, desk.clock
    watch = GatewayWatch(desk.database, gateways, clock)
    await watch.run_once()
    clock.advance(10)
    async with desk.database.writing() as session:
        await note_failure(session, desk.gateway_id, code="auth", detail="401", now=clock.now())

    await watch.run_once()

    assert (await desk.gateway_row()).unreachable_since is None
    wait = await watch.next_due()
    assert wait is not None
    assert wait > FAILING_EVERY.total_seconds()


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
