"""Messages are counted, gateways watched; a campaign and an event tell what is wrong with them."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import update
from tests.integration.alerts.conftest import Desk
from tests.support.factories import (
    make_campaign,
    make_event,
    make_gateway,
    make_message,
    make_number,
    make_session,
)

from groupline.alerts.queries import alerts_for_people
from groupline.models import Gateway, ScheduledWhatsappMessage


async def end_messages(desk: Desk, number_id: UUID, status: str, count: int) -> list[UUID]:
    """So many messages of the number end like this, and the journal tells of each."""
    ids = []
    async with desk.database.writing() as session:
        for _ in range(count):
            row = await make_message(
                session,
                organization_id=desk.organization_id,
                number_id=number_id,
                status=status,
                updated_at=desk.clock.now(),
            )
            ids.append(row.id)
    for message_id in ids:
        facts = {"status": status, "sentence": "The number may not write in this group."}
        await desk.happens(f"message.{status}", message_id, facts)
    return ids


@pytest.fixture
async def number_id(desk: Desk) -> UUID:
    async with desk.database.writing() as session:
        number = await make_number(
            session, organization_id=desk.organization_id, phone_number="919876543210"
        )
    return number.id


async def test_failures_of_a_minute_are_one_alert_with_their_count(
    desk: Desk, number_id: UUID
) -> None:
    await desk.channel()
    desk.clock.advance(1)
    await end_messages(desk, number_id, "failed", 3)
    await desk.turn(10)
    await end_messages(desk, number_id, "failed", 4)
    await desk.turn(10)
    assert desk.told == []
    await desk.turn(60)
    assert desk.told == ["7 messages of +91 98765 43210 failed"]
    assert "The number may not write in this group." in desk.last_text
    assert f"/messages?tab=attention&number={number_id}" in desk.last_text
    await end_messages(desk, number_id, "failed", 1)
    await desk.turn()
    await desk.turn(61)
    assert desk.told[1:] == ["1 message of +91 98765 43210 failed"]


async def test_kinds_and_numbers_are_counted_apart(desk: Desk, number_id: UUID) -> None:
    await desk.channel()
    async with desk.database.writing() as session:
        other = await make_number(
            session, organization_id=desk.organization_id, phone_number="919876500000"
        )
    await end_messages(desk, number_id, "failed", 2)
    await end_messages(desk, number_id, "expired", 1)
    await end_messages(desk, other.id, "failed", 1)
    await desk.turn()
    await desk.turn(61)
    assert sorted(desk.told) == [
        "1 message of +91 98765 00000 failed",
        "1 message of +91 98765 43210 came too late",
        "2 messages of +91 98765 43210 failed",
    ]


async def test_uncertain_messages_that_settle_themselves_are_no_alert(
    desk: Desk, number_id: UUID
) -> None:
    await desk.channel()
    settled, _, third = await end_messages(desk, number_id, "uncertain", 3)
    async with desk.database.writing() as session:
        await session.execute(
            update(ScheduledWhatsappMessage)
            .where(ScheduledWhatsappMessage.id.in_([settled, third]))
            .values(status="sent", gateway_message_id="3EB0", sent_at=desk.clock.now())
        )
    await desk.turn()
    await desk.turn(61)
    assert desk.told == []
    await desk.turn(30)
    assert desk.told == ["Nobody knows whether 1 message of +91 98765 43210 arrived"]


async def test_what_is_read_late_is_one_alert_too(desk: Desk, number_id: UUID) -> None:
    """The worker was away for an hour, and messages failed in several of its minutes."""
    await desk.channel()
    for _ in range(3):
        await end_messages(desk, number_id, "failed", 2)
        desk.clock.advance(600)
    await desk.turn()
    await desk.turn(61)
    assert desk.told == ["6 messages of +91 98765 43210 failed"]


async def gateway_with_a_phone(desk: Desk) -> UUID:
    async with desk.database.writing() as session:
        gateway = await make_gateway(session, name="VPS", last_seen_at=desk.clock.now())
        await make_session(session, organization_id=desk.organization_id, gateway_id=gateway.id)
    return gateway.id


async def set_gateway(desk: Desk, gateway_id: UUID, **values: object) -> None:
    async with desk.database.writing() as session:
        await session.execute(update(Gateway).where(Gateway.id == gateway_id).values(values))


async def test_a_gateway_is_told_of_after_two_minutes_and_when_it_is_back(desk: Desk) -> None:
    await desk.channel()
    gateway_id = await gateway_with_a_phone(desk)
    down = {"unreachable_since": desk.clock.now(), "last_error_code": "unreachable"}
    await set_gateway(desk, gateway_id, **down, last_error="It does not answer.")
    await desk.turn(115)
    assert desk.told == []
    await desk.turn(10)
    await desk.turn(300)
    assert desk.told == ["The gateway “VPS” cannot be reached"]
    assert "1 number cannot send meanwhile. It does not answer." in desk.last_text
    await set_gateway(desk, gateway_id, unreachable_since=None, last_error_code=None)
    await desk.turn(5)
    assert desk.told[1:] == ["The gateway “VPS” answers again"]
    assert desk.last_text.startswith("It did not for 7 minutes.")
    await desk.turn(300)
    assert len(desk.told) == 2


async def test_a_gateway_that_restarts_is_no_alert(desk: Desk) -> None:
    await desk.channel()
    gateway_id = await gateway_with_a_phone(desk)
    await set_gateway(desk, gateway_id, unreachable_since=desk.clock.now())
    await desk.turn(60)
    await set_gateway(desk, gateway_id, unreachable_since=None)
    await desk.turn(300)
    assert desk.told == []


async def test_a_gateway_that_refuses_our_key_is_another_alert(desk: Desk) -> None:
    await desk.channel()
    gateway_id = await gateway_with_a_phone(desk)
    await set_gateway(desk, gateway_id, unreachable_since=desk.clock.now(), last_error_code="auth")
    await desk.turn()
    assert desk.told == ["The gateway “VPS” refuses our key"]


async def test_a_gateway_concerns_those_who_have_a_phone_there(desk: Desk) -> None:
    await desk.channel()
    async with desk.database.writing() as session:
        since = desk.clock.now() - timedelta(hours=1)
        await make_gateway(session, last_seen_at=since, unreachable_since=since)
    await desk.turn()
    assert (desk.told, await desk.alerts()) == ([], [])


async def test_refused_webhooks_are_told_once_an_hour(desk: Desk) -> None:
    await desk.channel()
    gateway_id = await gateway_with_a_phone(desk)
    for _ in range(5):
        await desk.happens("gateway.webhooks_refused", gateway_id, {"count": 3}, shared=True)
        await desk.turn(60)
    assert desk.told == ["Reports of the gateway “VPS” are refused"]
    await desk.turn(3600)
    await desk.happens("gateway.webhooks_refused", gateway_id, {"count": 3}, shared=True)
    await desk.turn()
    assert len(desk.told) == 2


async def test_a_campaign_that_ends_with_failures(desk: Desk) -> None:
    await desk.channel()
    async with desk.database.writing() as session:
        inside = {"organization_id": desk.organization_id}
        good = await make_campaign(session, **inside, name="Good")
        bad = await make_campaign(session, **inside, name="Bad")
    counts = {"sent": 8, "failed": 2}
    await desk.happens("campaign.finished", good.id, {"status": "completed", "counts": counts})
    await desk.happens("campaign.finished", bad.id, {"status": "partial_failure", "counts": counts})
    await desk.turn()
    assert desk.told == ["The campaign “Bad” ended with failures"]
    assert desk.last_text.startswith("2 messages of 10 did not arrive.")


@pytest.mark.parametrize(
    ("action", "data"),
    [
        ("campaign.retried", {"messages": 2}),
        ("campaign.reopened", {"status": "sending"}),
        ("campaign.revised", {"status": "completed"}),
        ("campaign.revised", {"status": "cancelled"}),
    ],
)
async def test_an_end_with_failures_is_over_when_they_are_sent_again_or_put_away(
    desk: Desk, action: str, data: dict[str, object]
) -> None:
    async with desk.database.writing() as session:
        campaign = await make_campaign(session, organization_id=desk.organization_id)
    found = {"status": "partial_failure", "counts": {"sent": 8, "failed": 2}}
    await desk.happens("campaign.finished", campaign.id, found)
    await desk.turn()
    revised = {"status": "failed", "counts": {"failed": 2}}
    await desk.happens("campaign.revised", campaign.id, revised)
    await desk.turn()
    assert await open_alerts(desk) == 1
    await desk.happens(action, campaign.id, data)
    await desk.turn()
    assert await open_alerts(desk) == 0


async def open_alerts(desk: Desk) -> int:
    async with desk.database.reading() as session:
        since = desk.clock.now() - timedelta(days=1)
        return len(await alerts_for_people(session, desk.organization_id, but=(), since=since))


async def test_an_event_that_is_not_ready_names_what_was_found(desk: Desk) -> None:
    await desk.channel()
    async with desk.database.writing() as session:
        event = await make_event(session, organization_id=desk.organization_id, title="Yoga")
    found = {"findings": [{"sentence": "The number is disconnected."}, {"sentence": "No link."}]}
    await desk.happens("preflight.failed", event.id, found, subject="event")
    await desk.turn()
    assert desk.told == ["“Yoga” is not ready"]
    assert desk.last_text == (
        f"The number is disconnected. No link.\nhttp://127.0.0.1:8420/workshops/{event.id}"
    )
