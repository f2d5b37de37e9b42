"""A number is down at the time of its messages, and another one stands by."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from tests.integration.messages.outbox import Outbox, Sender
from tests.support.clock import NOW
from tests.support.factories import make_campaign, make_gateway, make_membership

from groupline import journal
from groupline.gateways.phone import display_phone
from groupline.ids import new_id
from groupline.journal import SYSTEM
from groupline.messages import queries
from groupline.messages.standby import Standby
from groupline.messages.story import story_of
from groupline.models import (
    WhatsappGroup,
    WhatsappMembership,
    WhatsappNumber,
    WhatsappSession,
)


async def pair(outbox: Outbox) -> tuple[Sender, Sender]:
    """A number that is down, and its standby, which is in the same groups."""
    down, other = await outbox.add_sender(groups=1), await outbox.add_sender(groups=1)
    await outbox.change(WhatsappNumber, down.number_id, standby_number_id=other.number_id)
    async with outbox.database.writing() as session:
        await make_membership(
            session,
            organization_id=outbox.organization_id,
            number_id=other.number_id,
            group_id=down.group_ids[0],
        )
    joined = {"groups": [{"id": down.jids[0]}]}
    await outbox.gateway.post(f"/sim/phones/{other.phone}/groups", joined, expect=201)
    await outbox.disconnect(down)
    return down, other


async def stand_by(outbox: Outbox) -> None:
    await Standby(outbox.database, outbox.clock).run_once()


async def test_a_due_message_goes_through_the_standby_and_its_story_says_so(
    outbox: Outbox,
) -> None:
    down, other = await pair(outbox)
    message_id = await outbox.write(down)

    await stand_by(outbox)

    message = await outbox.message(message_id)
    assert (message.status, message.number_id) == ("pending", other.number_id)
    assert await outbox.actions(message_id) == ["message.moved"]


async def test_the_story_names_both_numbers_and_the_standby_sends_it(outbox: Outbox) -> None:
    down, other = await pair(outbox)
    message_id = await outbox.write(down)

    await stand_by(outbox)
    await outbox.work()

    assert (await outbox.message(message_id)).status == "sent"
    assert await outbox.copies(down.jids[0]) == 1
    async with outbox.database.reading() as session:
        view = await queries.get_view(session, outbox.organization_id, message_id)
        assert view is not None
        chapters = await story_of(session, view)
    texts = [each.text for each in chapters if each.title == "Given to the standby number"]
    assert texts == [
        f"{display_phone(down.phone)} was down. Its standby {display_phone(other.phone)} sends it."
    ]


async def test_without_a_standby_a_message_waits(outbox: Outbox) -> None:
    down, _ = await pair(outbox)
    await outbox.change(WhatsappNumber, down.number_id, standby_number_id=None)
    message_id = await outbox.write(down)

    await stand_by(outbox)

    assert (await outbox.message(message_id)).number_id == down.number_id


@pytest.mark.parametrize(
    "facts",
    [
        {"status": "uncertain"},
        {"status": "accepted"},
        {"status": "sent"},
        {"status": "failed"},
        {"gateway_id": new_id()},
        {"accepted_at": "now"},
        {"expires_at": "now"},
    ],
)
async def test_what_may_have_been_sent_or_is_too_late_stays(
    outbox: Outbox, facts: dict[str, Any]
) -> None:
    down, _ = await pair(outbox)
    now = outbox.clock.now()
    known: dict[str, Any] = {
        name: now if value == "now" else value for name, value in facts.items()
    }
    message_id = await outbox.write(down, **known)

    await stand_by(outbox)

    assert (await outbox.message(message_id)).number_id == down.number_id


async def test_what_is_not_due_stays(outbox: Outbox) -> None:
    down, _ = await pair(outbox)
    later = outbox.clock.now().replace(hour=23)
    message_id = await outbox.write(down, scheduled_for=later)
    await stand_by(outbox)
    assert (await outbox.message(message_id)).number_id == down.number_id


@pytest.mark.parametrize(
    "obstacle",
    [
        "connected",
        "standby_down",
        "standby_paused",
        "standby_restricted",
        "left",
        "community",
        "admins",
        "announcements",
    ],
)
async def test_a_standby_that_cannot_take_over_does_not(outbox: Outbox, obstacle: str) -> None:
    down, other = await pair(outbox)
    message_id = await outbox.write(down)
    match obstacle:
        case "connected":
            await outbox.change(
                WhatsappSession,
                down.session_id,
                status="connected",
                ended_reason=None,
                disconnected_at=None,
            )
        case "standby_down":
            await outbox.disconnect(other)
        case "standby_paused":
            await outbox.change(WhatsappNumber, other.number_id, paused_at=outbox.clock.now())
        case "standby_restricted":
            until = outbox.clock.now() + timedelta(minutes=1)
            await outbox.change(WhatsappNumber, other.number_id, restricted_until=until)
        case "announcements":
            await outbox.change(WhatsappGroup, down.group_ids[0], is_community_announce=True)
        case "left":
            async with outbox.database.writing() as session:
                await session.execute(
                    update(WhatsappMembership)
                    .where(
                        WhatsappMembership.number_id == other.number_id,
                        WhatsappMembership.group_id == down.group_ids[0],
                    )
                    .values(is_active=False, missing_since=outbox.clock.now())
                )
        case "community":
            await outbox.change(WhatsappGroup, down.group_ids[0], is_community=True)
        case "admins":
            await outbox.change(WhatsappGroup, down.group_ids[0], announce_only=True)

    await stand_by(outbox)

    assert (await outbox.message(message_id)).number_id == down.number_id


async def put(outbox: Outbox, number: Sender, **gateway: Any) -> None:
    """The number's session is at a gateway of its own."""
    async with outbox.database.writing() as session:
        made = await make_gateway(session, **gateway)
    await outbox.change(WhatsappSession, number.session_id, gateway_id=made.id)


async def connect_again(outbox: Outbox, sender: Sender) -> None:
    await outbox.change(
        WhatsappSession,
        sender.session_id,
        status="connected",
        ended_reason=None,
        disconnected_at=None,
    )


@pytest.mark.parametrize(
    ("gateway", "moves"),
    [
        ({"enabled": False}, True),
        ({"unreachable_since": timedelta(seconds=-61)}, True),
        ({"unreachable_since": timedelta(seconds=-59)}, False),
        ({}, False),
    ],
)
async def test_a_number_whose_gateway_is_away_is_down_after_a_minute(
    outbox: Outbox, gateway: dict[str, Any], moves: bool
) -> None:
    down, other = await pair(outbox)
    await connect_again(outbox, down)
    facts = {
        name: outbox.clock.now() + value if isinstance(value, timedelta) else value
        for name, value in gateway.items()
    }
    await put(outbox, down, **facts)
    message_id = await outbox.write(down)

    await stand_by(outbox)

    expected = other.number_id if moves else down.number_id
    assert (await outbox.message(message_id)).number_id == expected


@pytest.mark.parametrize("facts", [{"enabled": False}, {"unreachable_since": NOW}])
async def test_a_standby_whose_gateway_is_away_takes_nothing_over(
    outbox: Outbox, facts: dict[str, Any]
) -> None:
    down, other = await pair(outbox)
    await put(outbox, other, **facts)
    message_id = await outbox.write(down)
    await stand_by(outbox)
    assert (await outbox.message(message_id)).number_id == down.number_id


@pytest.mark.parametrize("status", ["draft", "paused", "cancelled"])
async def test_what_its_campaign_holds_back_stays(outbox: Outbox, status: str) -> None:
    down, _ = await pair(outbox)
    async with outbox.database.writing() as session:
        campaign = await make_campaign(
            session,
            organization_id=outbox.organization_id,
            number_id=down.number_id,
            status=status,
            paused_at=outbox.clock.now() if status == "paused" else None,
        )
    message_id = await outbox.write(down, campaign_id=campaign.id)
    await stand_by(outbox)
    assert (await outbox.message(message_id)).number_id == down.number_id


@pytest.mark.parametrize("fate", ["message.accepted", "message.uncertain", "message.sent"])
async def test_what_was_ever_in_doubt_stays_even_when_proven_unsent(
    outbox: Outbox, fate: str
) -> None:
    """Its own gateway knows its reference, and would not send it twice. Another one would."""
    down, _ = await pair(outbox)
    message_id = await outbox.write(down)
    async with outbox.database.writing() as session:
        await journal.record(
            session,
            action=fate,
            actor=SYSTEM,
            organization_id=outbox.organization_id,
            subject="message",
            subject_id=message_id,
            data={},
            at=outbox.clock.now(),
        )

    await stand_by(outbox)

    assert (await outbox.message(message_id)).number_id == down.number_id


async def test_a_rejected_attempt_is_a_certain_no(outbox: Outbox) -> None:
    down, other = await pair(outbox)
    await connect_again(outbox, down)
    message_id = await outbox.write(down)
    await outbox.gateway.fault("empty", route="send", times=1)
    await outbox.work()
    assert await outbox.actions(message_id) == ["message.rejected"]
    await outbox.disconnect(down)

    await stand_by(outbox)

    assert (await outbox.message(message_id)).number_id == other.number_id


async def test_a_standby_of_another_organization_cannot_be(outbox: Outbox) -> None:
    down, _ = await pair(outbox)
    foreign = await outbox.add_foreign_sender()
    with pytest.raises(IntegrityError):
        await outbox.change(WhatsappNumber, down.number_id, standby_number_id=foreign.number_id)


async def test_a_message_is_sent_once_when_its_number_comes_back_at_that_moment(
    outbox: Outbox,
) -> None:
    """Two loops of the standby and two dispatchers, all at once, again and again."""
    down, other = await pair(outbox)
    await outbox.change(WhatsappNumber, other.number_id, standby_number_id=down.number_id)
    ids = [await outbox.write(down) for _ in range(6)]
    workers = [outbox.new_worker(), outbox.new_worker()]

    for _ in range(len(ids)):
        await asyncio.gather(
            stand_by(outbox),
            connect_again(outbox, down),
            *(worker.run_once() for worker in workers),
            stand_by(outbox),
        )
        await outbox.disconnect(down)
        for worker in workers:
            await outbox.work(worker)
    await stand_by(outbox)
    await outbox.work()

    assert await outbox.statuses(ids) == ["sent"] * len(ids)
    assert await outbox.copies(down.jids[0]) == len(ids)
    for message_id in ids:
        assert (await outbox.actions(message_id)).count("message.sent") == 1
