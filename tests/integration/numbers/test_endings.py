"""How sessions end when the gateway is away, and what is deleted before it has let go."""

from datetime import timedelta

import pytest
from tests.integration.numbers.conftest import OWNER, PHONE, Desk
from tests.support.scripted_gateway import Failure

from groupline.errors import Conflict
from groupline.numbers import service
from groupline.numbers.history import clean_up, delete_session
from groupline.numbers.states import ended_sentence


@pytest.mark.parametrize("failure", ["500", "401", "reset"])
async def test_an_abandoned_pairing_ends_in_time_also_while_its_gateway_is_away(
    desk: Desk, failure: Failure
) -> None:
    row = await desk.connect()
    await desk.verify()
    desk.gateway.failing = failure
    desk.clock.advance(60)
    await desk.verify()
    assert (await desk.gateway_row()).unreachable_since is not None
    desk.clock.advance(539)
    await desk.sweep()
    assert (await desk.session(row.id)).status == "qr_pending"
    desk.clock.advance(1)
    await desk.sweep()
    ended = await desk.session(row.id)
    assert (ended.status, ended.ended_reason) == ("disconnected", "expired")
    assert (ended.status_source, ended.last_error) == ("sweeper", None)
    assert ended.logout_confirmed_at is None
    assert await desk.journal("number.disconnected") == []

    desk.clock.advance(3600)
    await desk.sweep()
    assert (await desk.session(row.id)).logout_confirmed_at is None, "the gateway is still away"
    desk.gateway.failing = None
    desk.clock.advance(3600)
    await desk.sweep()
    assert (await desk.session(row.id)).logout_confirmed_at == desk.clock.now()
    assert row.gateway_session_id not in desk.gateway.statuses


UNREACHABLE = "WhatsApp cannot be reached from this machine."


async def test_a_pairing_that_never_showed_a_code_says_why_and_not_that_nobody_scanned(
    desk: Desk,
) -> None:
    row = await desk.connect()
    said = f"{UNREACHABLE} The gateway keeps trying."
    desk.gateway.says(row.gateway_session_id, "connecting", detail=said)
    await desk.verify()
    desk.clock.advance(600)
    await desk.sweep()
    ended = await desk.session(row.id)
    assert (ended.ended_reason, ended.last_error_at) == ("expired", desk.clock.now())
    assert ended.last_error == (
        f"{UNREACHABLE} There was no QR code to scan, so the pairing ended after 10 minutes."
    )
    assert "scanned" not in ended_sentence("expired")


async def test_what_never_came_back_keeps_what_stands_in_its_way(desk: Desk) -> None:
    row = await desk.paired()
    desk.gateway.says(row.gateway_session_id, "disconnected", reason="connection_lost")
    await desk.period(2)
    number = await desk.number()
    assert (await desk.session(row.id)).obstacle is None
    await service.reconnect(desk.context, desk.organization_id, number.id, actor=OWNER)
    said = "The proxy of this session does not lead to WhatsApp. The gateway keeps trying."
    desk.gateway.says(row.gateway_session_id, "connecting", detail=said)
    await desk.period()
    assert (await desk.session(row.id)).obstacle == "trying"
    desk.clock.advance(600)
    await desk.sweep()
    ended = await desk.session(row.id)
    assert (ended.ended_reason, ended.last_error, ended.obstacle) == (
        "disconnected",
        said,
        "trying",
    )
    desk.gateway.connects(row.gateway_session_id, PHONE)
    await desk.period()
    assert (await desk.session(row.id)).obstacle is None


async def test_a_phone_that_scanned_an_abandoned_code_after_all_is_logged_out(desk: Desk) -> None:
    """Nobody was shown that it would connect, and nothing may be connected that nobody sees."""
    row = await desk.connect()
    await desk.verify()
    desk.gateway.failing = "500"
    desk.clock.advance(600)
    await desk.sweep()
    desk.gateway.connects(row.gateway_session_id, PHONE)
    desk.gateway.failing = None
    await desk.period()
    desk.clock.advance(3600)
    await desk.sweep()
    assert (await desk.session(row.id)).ended_reason == "expired"
    assert row.gateway_session_id not in desk.gateway.statuses
    assert await desk.numbers() == []


@pytest.mark.parametrize("way", ["delete", "clean_up"])
async def test_a_session_that_its_gateway_merely_lost_is_logged_out_when_it_is_deleted(
    desk: Desk, way: str
) -> None:
    """Else it could come back there, and nobody here would know it."""
    row = await desk.paired()
    desk.gateway.says(row.gateway_session_id, "disconnected")
    await desk.period(2)
    assert (await desk.session(row.id)).ended_reason == "disconnected"
    if way == "delete":
        await delete_session(desk.context, desk.organization_id, row.id, actor=OWNER)
    else:
        await clean_up(
            desk.context,
            desk.organization_id,
            older_than=timedelta(0),
            dry_run=False,
            actor=OWNER,
        )
    await desk.sweep()
    assert await desk.sessions() == []
    assert desk.gateway.count("disconnect", row.gateway_session_id) == 1


@pytest.mark.parametrize("word", ["logged_out", "404"])
async def test_one_that_its_gateway_does_not_have_any_more_needs_no_logout(
    desk: Desk, word: str
) -> None:
    row = await desk.paired()
    if word == "404":
        desk.gateway.forgets(row.gateway_session_id)
    else:
        desk.gateway.says(row.gateway_session_id, word)
    await desk.period()
    await delete_session(desk.context, desk.organization_id, row.id, actor=OWNER)
    desk.clock.advance(60)
    await desk.sweep()
    assert desk.gateway.count("disconnect") == 0


async def test_a_session_that_is_back_is_not_logged_out_by_a_refused_delete(desk: Desk) -> None:
    row = await desk.paired()
    desk.gateway.says(row.gateway_session_id, "disconnected")
    await desk.period(2)
    desk.gateway.connects(row.gateway_session_id, PHONE)
    await desk.period()
    with pytest.raises(Conflict):
        await delete_session(desk.context, desk.organization_id, row.id, actor=OWNER)
    await desk.sweep()
    assert desk.gateway.count("disconnect") == 0
    assert (await desk.session(row.id)).status == "connected"
