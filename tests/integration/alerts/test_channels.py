"""Channels: each is told, fails and recovers by itself; secrets are never shown."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update
from tests.integration.alerts.conftest import Desk, channel_url
from tests.support.factories import make_alert, make_number
from tests.support.receiver import running_receiver

from groupline.alerts import queries, service
from groupline.alerts.rules import LEASE, PAUSES
from groupline.alerts.send import AlertSender
from groupline.errors import Conflict, NotFound
from groupline.models import Alert, AlertDelivery, JournalEntry
from groupline.net import is_public, is_public_or_private


async def alarm(desk: Desk) -> None:
    async with desk.database.writing() as session:
        number = await make_number(session, organization_id=desk.organization_id)
    await desk.happens("number.restricted", number.id, {"restriction": "slow"})
    await desk.turn()


async def test_a_channel_hears_only_of_what_it_chose(desk: Desk) -> None:
    await desk.channel("One", "message.failed")
    await alarm(desk)
    assert desk.told == []
    assert [alert.raised_at is not None for alert in await desk.alerts()] == [True]


async def test_a_channel_that_is_off_hears_nothing(desk: Desk) -> None:
    channel = await desk.channel()
    async with desk.database.writing() as session:
        await service.change_channel(
            session,
            desk.runtime.vault,
            desk.owner,
            channel.id,
            service.ChannelInput(enabled=False),
            allows=is_public_or_private,
            now=desk.clock.now(),
        )
    await alarm(desk)
    assert desk.told == []


async def test_a_failure_is_on_the_channel_and_in_the_journal_once_and_is_retried(
    desk: Desk,
) -> None:
    channel = await desk.channel()
    desk.receiver.status = 500
    await alarm(desk)
    await desk.turn(20)
    await desk.turn(80)
    row = await desk.channel_row(channel.id)
    assert row.last_error is not None
    assert "500" in row.last_error
    assert await desk.journaled() == ["created", "failing"]
    desk.receiver.status = 200
    await desk.turn(400)
    row = await desk.channel_row(channel.id)
    assert (row.last_error, row.last_delivered_at) == (None, desk.clock.now())
    assert await desk.journaled() == ["created", "failing", "recovered"]
    (delivery,) = await desk.deliveries()
    assert (delivery.status, delivery.attempts) == ("delivered", 4)


async def test_an_alert_that_no_longer_helps_is_given_up(desk: Desk) -> None:
    await desk.channel()
    desk.receiver.status = 500
    await alarm(desk)
    for pause in PAUSES:
        await desk.turn(pause.total_seconds() * 1.1 + 1)
    (delivery,) = await desk.deliveries()
    assert (delivery.status, delivery.attempts) == ("failed", len(PAUSES) + 1)


async def test_a_channel_that_hangs_holds_up_no_other(desk: Desk) -> None:
    desk.receiver.answers.clear()
    slow = await desk.channel("Slow")
    async with running_receiver(status=200) as quick:
        await desk.channel("Quick", url=channel_url(quick))
        telling = asyncio.create_task(alarm(desk))
        async with asyncio.timeout(50):  # the slow one may take 60 s
            while "delivered" not in {each.status for each in await desk.deliveries()}:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        waiting = {each.channel_id: each.attempts for each in await desk.deliveries()}[slow.id]
        assert (len(quick.received), waiting) == (1, 0)
        desk.receiver.answers.set()
        await telling
    assert [each.status for each in await desk.deliveries()] == ["delivered"] * 2


async def test_a_channel_that_hangs_ends_in_time(desk: Desk) -> None:
    desk.receiver.answers.clear()
    await desk.channel()
    desk.sender = AlertSender(
        desk.database,
        desk.runtime.vault,
        desk.clock,
        allows=is_public_or_private,
        base_url="http://x",
        seconds=1,
    )
    await alarm(desk)
    (delivery,) = await desk.deliveries()
    assert delivery.status == "pending"
    assert delivery.last_error == "The service did not answer within 1 s."


async def test_a_crash_while_telling_repeats_it_after_the_lease(desk: Desk) -> None:
    await desk.channel()
    async with desk.database.writing() as session:
        number = await make_number(session, organization_id=desk.organization_id)
    await desk.happens("number.restricted", number.id)
    desk.clock.advance(1)
    await desk.watch.run_once()
    until = desk.clock.now() + LEASE
    async with desk.database.writing() as session:  # claimed by a process that is gone
        await session.execute(
            update(AlertDelivery).values(next_attempt_at=until, claimed_until=until)
        )
    await desk.turn(1)
    assert desk.told == []
    await desk.turn(LEASE.total_seconds())
    assert len(desk.told) == 1


async def test_a_private_address_is_not_called(desk: Desk) -> None:
    await desk.channel()
    desk.sender = AlertSender(
        desk.database, desk.runtime.vault, desk.clock, allows=is_public, base_url="http://x"
    )
    await alarm(desk)
    assert desk.receiver.received == []
    (delivery,) = await desk.deliveries()
    assert delivery.last_error == "The address leads into a private network."


async def test_redirects_are_not_followed(desk: Desk) -> None:
    async with running_receiver(status=200) as elsewhere:
        desk.receiver.status, desk.receiver.headers = 307, {"Location": elsewhere.url}
        await desk.channel()
        await alarm(desk)
        assert elsewhere.received == []
    assert [each.status for each in await desk.deliveries()] == ["pending"]


async def test_the_address_is_encrypted_and_in_no_entry_of_the_journal(desk: Desk) -> None:
    secret = "a-secret-in-the-path"
    channel = await desk.channel(url=channel_url(desk.receiver, f"/{secret}"))
    desk.receiver.status = 500
    await alarm(desk)
    async with desk.database.reading() as session:
        entries = (await session.scalars(select(JournalEntry))).all()
    assert secret not in channel.url
    assert all(secret not in str(entry.data) for entry in entries)
    assert secret not in str((await desk.channel_row(channel.id)).last_error)


async def test_names_are_unique(desk: Desk) -> None:
    await desk.channel("One")
    with pytest.raises(Conflict, match="already an alert channel"):
        await desk.channel("One")


async def test_a_removed_channel_takes_what_it_was_told_along(desk: Desk) -> None:
    channel = await desk.channel()
    await alarm(desk)
    async with desk.database.writing() as session:
        await service.remove_channel(
            session, desk.runtime.vault, desk.owner, channel.id, now=desk.clock.now()
        )
    assert await desk.deliveries() == []
    assert len(await desk.alerts()) == 1
    assert await desk.journaled() == ["created", "removed"]


async def test_an_alert_is_put_away_by_a_person_of_its_organization(
    desk: Desk,
) -> None:
    await alarm(desk)
    (alert,) = await desk.alerts()
    async with desk.database.reading() as session:
        shown = await queries.alerts_for_people(
            session, desk.organization_id, but=(), since=desk.clock.now() - timedelta(days=1)
        )
    assert [each.id for each in shown] == [alert.id]
    async with desk.database.writing() as session:
        await service.put_away(session, desk.owner, alert.id, now=desk.clock.now())
    async with desk.database.reading() as session:
        assert not await queries.alerts_for_people(
            session, desk.organization_id, but=(), since=desk.clock.now() - timedelta(days=1)
        )
    with pytest.raises(NotFound):
        async with desk.database.writing() as session:
            await service.put_away(session, desk.owner, UUID(int=1), now=desk.clock.now())


async def test_old_alerts_are_forgotten_with_their_deliveries(desk: Desk) -> None:
    await desk.channel()
    await alarm(desk)
    async with desk.database.writing() as session:
        await make_alert(session, organization_id=desk.organization_id)
        await queries.forget_old(session, desk.clock.now() + timedelta(seconds=1))
    async with desk.database.reading() as session:
        left = (await session.scalars(select(Alert))).all()
    assert ([each.raised_at for each in left], await desk.deliveries()) == ([None], [])
