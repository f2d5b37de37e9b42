"""What an expired message had waited for."""

from datetime import timedelta
from typing import Any, get_args

import pytest
from tests.integration.messages.outbox import Outbox
from tests.support.factories import make_campaign

from groupline.messages.expire import Expirer
from groupline.messages.rules import HoldReason
from groupline.messages.waited import HELD
from groupline.models import Gateway, WhatsappNumber

BEFORE = "The message did not leave before its time was over."


@pytest.mark.parametrize(
    ("row", "values", "reason"),
    [
        (
            WhatsappNumber,
            {"paused_at": "now"},
            "The number had been paused since 2 Mar, 17:30 IST.",
        ),
        (Gateway, {"enabled": False}, "The number's gateway was switched off."),
        (Gateway, {"unreachable_since": "now"}, "The gateway “{name}” could not be reached."),
        (
            WhatsappNumber,
            {"restricted_until": "later", "restriction": "spam"},
            "WhatsApp restricted what this number may send.",
        ),
        (
            WhatsappNumber,
            {"lane_free_at": "later", "lane_hold_reason": "gateway_refuses"},
            "The gateway refused Groupline's requests.",
        ),
        (WhatsappNumber, {"lane_free_at": "later"}, "The number was pausing between two messages."),
    ],
)
async def test_what_had_been_in_the_way_is_told_in_the_past_tense(
    outbox: Outbox, row: type, values: dict[str, Any], reason: str
) -> None:
    """It is read later, when the number may be connected again."""
    sender, now = await outbox.add_sender(), outbox.clock.now()
    late = await outbox.write(sender, expires_at=now + timedelta(minutes=1))
    times = {"now": now, "later": now + timedelta(hours=1)}
    row_id = outbox.gateway_id if row is Gateway else sender.number_id
    named = {key: times.get(str(value), value) for key, value in values.items()}
    await outbox.change(row, row_id, **named)
    outbox.clock.advance(60)

    await Expirer(outbox.database, outbox.clock).run_once()

    async with outbox.database.reading() as session:
        gateway = await session.get(Gateway, outbox.gateway_id)
    assert gateway is not None
    said = (await outbox.message(late)).error_message
    assert said == f"{BEFORE} {reason.format(name=gateway.name)}"


def test_each_reason_to_hold_a_number_has_its_past() -> None:
    assert set(HELD) == set(get_args(HoldReason))


async def test_what_expires_in_a_paused_campaign_says_so(outbox: Outbox) -> None:
    sender, now = await outbox.add_sender(), outbox.clock.now()
    async with outbox.database.writing() as session:
        campaign = await make_campaign(
            session,
            organization_id=outbox.organization_id,
            number_id=sender.number_id,
            status="paused",
            paused_at=now,
        )
    late = await outbox.write(
        sender, campaign_id=campaign.id, expires_at=now + timedelta(minutes=1)
    )
    await outbox.disconnect(sender)
    outbox.clock.advance(60)
    await Expirer(outbox.database, outbox.clock).run_once()
    assert (await outbox.message(late)).error_message == f"{BEFORE} Its campaign was paused."
