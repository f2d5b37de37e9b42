"""A number is down at the time of its messages, and another one stands by."""

from typing import Any

import pytest
from sqlalchemy import update
from tests.integration.messages.outbox import Outbox, Sender
from tests.support.factories import make_membership

from groupline.ids import new_id
from groupline.messages.standby import Standby
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
    "obstacle", ["connected", "standby_down", "standby_paused", "left", "community", "admins"]
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
