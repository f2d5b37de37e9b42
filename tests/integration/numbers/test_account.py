"""What the journal tells of a number: each change once, whoever found it, and what it means."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.integration.numbers.conftest import OWNER, PHONE, Desk
from tests.integration.numbers.test_takeover import status_event
from tests.support.factories import make_event, make_message

from groupline.models import Gateway, Lease, WhatsappSession
from groupline.numbers import queries, service, views
from groupline.numbers.account import GATEWAY, note_refused_send
from groupline.numbers.ask import verify_session

_Find = Callable[[Desk, WhatsappSession], Awaitable[object]]


async def _by_webhook(desk: Desk, row: WhatsappSession) -> None:
    await status_event(desk, row.gateway_session_id, "logged_out")


async def _by_poll(desk: Desk, row: WhatsappSession) -> None:
    await verify_session(desk.context, desk.organization_id, row.id, actor=OWNER)


async def _by_verifier(desk: Desk, _: WhatsappSession) -> None:
    await desk.period()


async def _by_a_person(desk: Desk, row: WhatsappSession) -> None:
    await service.disconnect(desk.context, desk.organization_id, row.id, actor=OWNER)


WAYS = pytest.mark.parametrize(
    ("find", "source"),
    [
        (_by_webhook, "webhook"),
        (_by_poll, "gateway"),
        (_by_verifier, "gateway"),
        (_by_a_person, "user"),
    ],
)


@WAYS
async def test_an_end_is_told_once_whoever_finds_it_with_what_it_means(
    desk: Desk, find: _Find, source: str
) -> None:
    row, number = await desk.paired(), await desk.number()
    now = desk.clock.now()
    facts: dict[str, Any] = {"organization_id": desk.organization_id, "number_id": number.id}
    async with desk.database.writing() as session:
        for hours in (1, 2, 3):
            await make_message(session, scheduled_for=now + timedelta(hours=hours), **facts)
        await make_message(session, scheduled_for=now, status="sent", **facts)
        later = now + timedelta(days=2)
        await make_event(session, starts_at=later, title="Later", **facts)
        soon = await make_event(session, starts_at=now + timedelta(hours=5), title="Soon", **facts)
        await make_event(session, starts_at=now - timedelta(hours=1), title="Runs", **facts)
        cancelled = now + timedelta(minutes=5)
        await make_event(session, starts_at=cancelled, status="cancelled", **facts)
    desk.gateway.says(row.gateway_session_id, "logged_out")
    desk.clock.advance(1)

    await find(desk, row)
    for again in (_by_webhook, _by_poll, _by_verifier):
        await again(desk, row)
    await desk.sweep()

    [entry] = await desk.journal("number.disconnected")
    assert (entry.subject, entry.subject_id) == ("number", number.id)
    told = dict(entry.data)
    assert told.pop("reason") in ("logged_out", "user")
    told.pop("detail")
    assert told == {
        "sessionId": str(row.id),
        "source": source,
        "messagesDue": 2,
        "withinHours": 2,
        "nextMessageAt": (now + timedelta(hours=1)).isoformat(),
        "nextEvent": {
            "id": str(soon.id),
            "kind": "workshop",
            "title": "Soon",
            "startsAt": soon.starts_at.isoformat(),
        },
    }


async def test_without_work_it_says_so(desk: Desk) -> None:
    row = await desk.paired()
    desk.gateway.forgets(row.gateway_session_id)
    await desk.period()
    [entry] = await desk.journal("number.disconnected")
    assert (entry.data["messagesDue"], entry.data["nextMessageAt"]) == (0, None)
    assert entry.data["nextEvent"] is None


@pytest.mark.parametrize("find", [_by_poll, _by_verifier])
async def test_a_connection_is_told_once_and_how_long_it_was_gone(desk: Desk, find: _Find) -> None:
    row = await desk.paired()
    desk.gateway.forgets(row.gateway_session_id)
    await desk.period()
    gone = (await desk.number()).last_disconnected_at
    assert gone is not None
    desk.gateway.connects(row.gateway_session_id, PHONE)
    desk.clock.advance(1)
    for each in (find, _by_poll, _by_verifier):
        await each(desk, row)
    await status_event(desk, row.gateway_session_id, "connected")
    first, back = await desk.journal("number.connected")
    assert (first.data["downSince"], back.data["downSince"]) == (None, gone.isoformat())


async def test_a_number_whose_session_another_phone_took_is_told_as_disconnected(
    desk: Desk,
) -> None:
    row, number = await desk.paired(), await desk.number()
    desk.gateway.connects(row.gateway_session_id, "14155550136")
    await desk.period(2)
    [entry] = await desk.journal("number.disconnected")
    assert (entry.subject_id, entry.data["reason"]) == (number.id, "other_phone")
    assert len(await desk.journal("number.connected")) == 2


async def test_a_replaced_session_is_no_disconnection(desk: Desk) -> None:
    await desk.paired()
    desk.clock.advance(1)
    await desk.paired()
    assert await desk.journal("number.disconnected") == []


async def _refuses_a_send(desk: Desk) -> None:
    """As a worker has it after a send that was refused for a restriction."""
    now = desk.clock.now()
    number = await desk.number()
    async with desk.database.writing() as session:
        again = now + timedelta(minutes=15)
        await note_refused_send(
            session, desk.organization_id, number.id, next_try=again, actor=GATEWAY, now=now
        )


async def test_a_restriction_is_told_once_whether_a_send_or_a_reading_finds_it(desk: Desk) -> None:
    row = await desk.paired()
    async with desk.database.writing() as session:
        (await session.get_one(Gateway, desk.gateway_id)).capabilities = ["restriction_info"]
    await _refuses_a_send(desk)
    said = {"phoneNumber": PHONE, "restriction": {"reason": "reachout"}}
    desk.gateway.says(row.gateway_session_id, "connected", **said)
    await desk.period(2)
    [entry] = await desk.journal("number.restricted")
    assert entry.data == {"restriction": "restricted", "until": None}, "the next try is no end"
    desk.gateway.connects(row.gateway_session_id, PHONE)
    await desk.period(2)
    assert len(await desk.journal("number.unrestricted")) == 1


async def test_what_the_gateway_says_is_wrong_is_shown_before_it_is_believed(desk: Desk) -> None:
    row = await desk.paired()
    desk.clock.advance(20)
    sentence = "WhatsApp cannot be reached from this machine. The gateway keeps trying."
    await status_event(desk, row.gateway_session_id, "connecting")
    await status_event(desk, row.gateway_session_id, "connecting", detail=sentence)
    async with desk.database.reading() as session:
        [number] = await views.list_numbers(session, desk.organization_id, desk.clock.now())
    assert number.shown.state == "verifying"
    assert number.shown.sentence == f"{sentence} Asking the gateway whether this is still so."


async def test_where_no_worker_runs_no_card_says_that_the_gateway_is_asked(desk: Desk) -> None:
    row = await desk.paired()
    async with desk.database.writing() as session:
        session.add(Lease(name="worker:gone", owner="gone", expires_at=desk.clock.now()))
    desk.clock.advance(20)
    await status_event(desk, row.gateway_session_id, "connecting")
    for seconds, said in ((10, "Asking the gateway"), (1, "No worker is running: nobody asks")):
        desk.clock.advance(seconds)
        async with desk.database.reading() as session:
            [number] = await views.list_numbers(session, desk.organization_id, desk.clock.now())
        assert number.shown.state == "verifying"
        assert said in number.shown.sentence


async def _webhook_says(desk: Desk, row: WhatsappSession, **said: Any) -> str | None:
    """The restriction of the number afterwards."""
    desk.clock.advance(0.01)
    await status_event(desk, row.gateway_session_id, "connected", **said)
    return (await desk.number()).restriction


async def test_a_webhook_tells_of_a_restriction_at_once(desk: Desk) -> None:
    row = await desk.paired()
    restricted = {"kind": "restricted", "detail": "error 463"}
    told = await _webhook_says(desk, row, restriction=restricted, knows_restrictions=True)
    assert told == "restricted"
    assert await _webhook_says(desk, row) == "restricted"
    assert await _webhook_says(desk, row, knows_restrictions=True) is None
    assert len(await desk.journal("number.restricted")) == 1
    assert len(await desk.journal("number.unrestricted")) == 1


async def _paces(desk: Desk, **values: Any) -> None:
    async with desk.database.writing() as session:
        number = await queries.get_number(session, desk.organization_id, (await desk.number()).id)
        for name, value in values.items():
            setattr(number, name, value)


def _until(moment: datetime) -> dict[str, str]:
    return {"kind": "restricted", "until": moment.isoformat()}


@pytest.mark.parametrize("minutes", [3, 40], ids=["soon over", "longer"])
async def test_a_number_waits_for_as_long_as_the_gateway_says(desk: Desk, minutes: float) -> None:
    """A refused send holds its lane for a quarter of an hour, because that is all that it knows."""
    row = await desk.paired()
    await _paces(desk, pace_seconds=60.0)
    sent_at, until = desk.clock.now(), desk.clock.now() + timedelta(minutes=minutes)
    await _refuses_a_send(desk)
    desk.clock.advance(30)
    await _webhook_says(desk, row, restriction=_until(until), knows_restrictions=True)
    number = await desk.number()
    assert number.restricted_until == until
    assert number.lane_free_at == sent_at + timedelta(seconds=60), "that end holds it by itself"
    assert number.lane_hold_reason is None

    await _refuses_a_send(desk)  # one that was under way
    number = await desk.number()
    assert (number.restricted_until, number.lane_hold_reason) == (until, None)
    assert await _webhook_says(desk, row, knows_restrictions=True) is None
    assert (await desk.number()).restricted_until is None


async def test_an_end_that_is_past_does_not_try_sending_again(desk: Desk) -> None:
    """The gateway goes on naming it, and goes on refusing."""
    row = await desk.paired()
    over = desk.clock.now() - timedelta(seconds=1)
    for _ in range(2):
        await _refuses_a_send(desk)
        held = await desk.number()
        assert held.lane_free_at == desk.clock.now() + timedelta(minutes=15)
        desk.clock.advance(60)
        await _webhook_says(desk, row, restriction=_until(over), knows_restrictions=True)
        number = await desk.number()
        assert number.lane_free_at == held.lane_free_at
        assert number.restricted_until == held.restricted_until
        assert number.lane_hold_reason == "restricted"
        desk.clock.advance(14 * 60)
    await _webhook_says(desk, row, restriction=_until(over), knows_restrictions=True)
    assert (await desk.number()).lane_hold_reason is None


async def test_a_status_without_the_restriction_of_a_send_frees_its_lane_only_after_the_hold(
    desk: Desk,
) -> None:
    row = await desk.paired()
    await _refuses_a_send(desk)
    held = await desk.number()
    assert await _webhook_says(desk, row, knows_restrictions=True) == "restricted"
    assert (await desk.number()).lane_free_at == held.lane_free_at
    desk.clock.advance(15 * 60)
    assert await _webhook_says(desk, row, knows_restrictions=True) is None


async def test_a_restriction_that_a_status_told_of_is_over_when_it_tells_so(desk: Desk) -> None:
    row = await desk.paired()
    await _paces(desk, pace_seconds=20.0)
    await _refuses_a_send(desk)
    held = await desk.number()
    endless = {"kind": "restricted"}
    await _webhook_says(desk, row, restriction=endless, knows_restrictions=True)
    number = await desk.number()
    assert (number.restricted_until, number.lane_free_at) == (None, held.lane_free_at)
    await _refuses_a_send(desk)
    assert (await desk.number()).restricted_until is None, "which is known better than a next try"
    last = desk.clock.now()
    assert await _webhook_says(desk, row, knows_restrictions=True) is None
    number = await desk.number()
    assert number.lane_free_at == last + timedelta(seconds=20)
    assert number.lane_hold_reason is None


async def test_a_lane_that_waits_for_something_else_goes_on_waiting(desk: Desk) -> None:
    row = await desk.paired()
    free_at = desk.clock.now() + timedelta(minutes=5)
    await _refuses_a_send(desk)
    async with desk.database.writing() as session:
        number = await queries.get_number(session, desk.organization_id, (await desk.number()).id)
        number.lane_free_at, number.lane_hold_reason = free_at, "rate_limited"
    await _webhook_says(desk, row, knows_restrictions=True)
    assert (await desk.number()).lane_free_at == free_at


async def test_the_same_restriction_in_other_words_is_no_news_and_a_ban_is(desk: Desk) -> None:
    row = await desk.paired()
    await _refuses_a_send(desk)
    await _webhook_says(desk, row, restriction={"kind": "restricted"}, knows_restrictions=True)
    await _refuses_a_send(desk)
    assert len(await desk.journal("number.restricted")) == 1
    await _webhook_says(desk, row, restriction={"kind": "banned"}, knows_restrictions=True)
    assert len(await desk.journal("number.restricted")) == 2


async def test_one_that_is_tried_again_and_again_is_told_again_only_after_a_pause(
    desk: Desk,
) -> None:
    await desk.paired()
    for _ in range(4):
        await _refuses_a_send(desk)
        desk.clock.advance(16 * 60)
    assert len(await desk.journal("number.restricted")) == 1
    desk.clock.advance(2 * 3600)
    await _refuses_a_send(desk)
    assert len(await desk.journal("number.restricted")) == 2


async def test_a_ban_is_a_fact_about_the_number_until_it_is_over(desk: Desk) -> None:
    row = await desk.paired()
    async with desk.database.writing() as session:
        (await session.get_one(Gateway, desk.gateway_id)).capabilities = ["restriction_info"]
    until = desk.clock.now() + timedelta(hours=2)
    sentence = "WhatsApp has banned this number until tonight."
    ban = {"kind": "banned", "until": until.isoformat()}
    said = {"reason": "banned", "detail": sentence, "restriction": ban}
    desk.gateway.says(row.gateway_session_id, "disconnected", **said)
    await desk.period(2)
    number = await desk.number()
    assert (number.restriction, number.restricted_until) == ("banned", until)
    assert (await desk.session(row.id)).last_error == sentence
    assert len(await desk.journal("number.restricted")) == 1
    desk.gateway.connects(row.gateway_session_id, PHONE)
    await desk.period()
    assert (await desk.number()).restriction is None
