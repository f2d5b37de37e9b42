"""Each entry of the journal becomes one delivery per endpoint that wants it; none is missed."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from tests.integration.webhooks.conftest import Desk
from tests.support.cast import Cast
from tests.support.factories import make_message, make_number

from groupline import journal
from groupline.journal import SYSTEM
from groupline.models import JournalReader, WebhookDelivery
from groupline.webhooks import queries, service
from groupline.webhooks.fanout import READER, Fanout


async def test_an_event_is_written_once_for_each_endpoint_that_wants_it(desk: Desk) -> None:
    one, _ = await desk.endpoint("message.sent")
    two, _ = await desk.endpoint("message.sent", "message.failed")
    await desk.endpoint("number.connected")
    entry = await desk.happens("message.sent")
    await desk.read()
    await desk.read()
    found = await desk.deliveries()
    assert {(each.endpoint_id, each.journal_id, each.event_type) for each in found} == {
        (one.id, entry, "message.sent"),
        (two.id, entry, "message.sent"),
    }


async def test_what_a_person_or_late_evidence_decides_is_an_event_too(desk: Desk) -> None:
    await desk.endpoint("message.sent", "message.failed")
    await desk.happens("message.resolved", {"status": "sent", "outcome": "arrived"})
    await desk.happens("message.arrived", {"status": "sent"})
    await desk.happens("message.resolved", {"status": "pending"})
    await desk.happens("message.requeued", {"status": "pending"})
    await desk.read()
    assert [each.event_type for each in await desk.deliveries()] == ["message.sent"] * 2


async def test_a_payload_names_what_a_program_goes_on_from(desk: Desk) -> None:
    await desk.endpoint("message.sent", "number.disconnected")
    async with desk.database.writing() as session:
        number = await make_number(
            session, organization_id=desk.organization_id, phone_number="919876543210"
        )
        message = await make_message(
            session, organization_id=desk.organization_id, number_id=number.id
        )
    await desk.happens("message.sent", {"status": "sent"}, subject_id=message.id)
    impact = {"messagesDue": 3, "withinHours": 2}
    await desk.happens("number.disconnected", impact, subject="number", subject_id=number.id)
    at = desk.clock.now()
    await desk.read()
    sent, lost = [each.payload for each in await desk.deliveries()]
    assert sent == {
        "type": "message.sent",
        "timestamp": at.isoformat(),
        "data": {
            "status": "sent",
            "messageId": str(message.id),
            "numberId": str(number.id),
            "groupId": str(message.group_id),
            "campaignId": None,
            "eventId": None,
            "scheduledFor": message.scheduled_for.isoformat(),
        },
    }
    assert lost["data"] == impact | {"numberId": str(number.id), "phoneNumber": "919876543210"}


async def test_another_organization_hears_nothing(desk: Desk, cast: Cast) -> None:
    await desk.endpoint("message.sent")
    await desk.happens("message.sent", organization_id=cast.outside_organization_id)
    await desk.read()
    assert await desk.deliveries() == []


async def test_what_happened_before_the_endpoint_was_there_is_not_sent(desk: Desk) -> None:
    await desk.happens("message.sent")
    desk.clock.advance(1)
    await desk.endpoint("message.sent")
    await desk.happens("message.sent")
    await desk.read()
    assert len(await desk.deliveries()) == 1


async def test_what_happens_while_an_endpoint_is_off_is_not_sent_later(desk: Desk) -> None:
    endpoint, _ = await desk.endpoint("message.sent")
    for enabled in (False, True):
        async with desk.database.writing() as session:
            await service.change_endpoint(
                session,
                desk.owner,
                endpoint.id,
                service.EndpointInput(enabled=enabled),
                allows=desk.runtime.outgoing_allows,
                now=desk.clock.now(),
            )
        if not enabled:
            await desk.happens("message.sent")
            desk.clock.advance(1)
    await desk.read()
    assert await desk.deliveries() == []


async def test_more_entries_than_one_turn_reads(desk: Desk) -> None:
    await desk.endpoint("message.sent")
    async with desk.database.writing() as session:
        entries = [
            journal.Entry(
                action="message.sent",
                actor=SYSTEM,
                organization_id=desk.organization_id,
                subject="message",
                subject_id=None,
                at=desk.clock.now(),
                data={"status": "sent"},
            )
            for _ in range(450)
        ]
        await journal.record_all(session, entries)
    await desk.read()
    found = await desk.deliveries()
    assert [each.journal_id for each in found] == [each.id for each in entries]


async def test_a_turn_that_fails_is_made_again_as_a_whole(desk: Desk) -> None:
    """The cursor moves in the transaction that writes the deliveries: both, or neither."""
    await desk.endpoint("message.sent")
    await desk.happens("message.sent")
    async with desk.database.reading() as session:
        before = await journal.load_cursor(session, READER)
    with suppress(LookupError):
        async with desk.database.writing() as session:
            reading = await journal.read_on(session, READER, {"message.sent"}, 10)
            assert len(reading.entries) == 1
            raise LookupError
    async with desk.database.reading() as session:
        assert await journal.load_cursor(session, READER) == before
    await desk.read()
    assert len(await desk.deliveries()) == 1


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_an_entry_that_commits_late_is_delivered(desk: Desk) -> None:
    """It took its place in the order first. A reader that had gone past would never see it."""
    await desk.endpoint("message.sent")
    async with desk.database.writing() as slow:
        late = await journal.record(
            slow,
            action="message.sent",
            actor=SYSTEM,
            organization_id=desk.organization_id,
            subject="message",
            subject_id=None,
            data={"status": "sent"},
            at=desk.clock.now(),
        )
        early = await desk.happens("message.sent")
        await desk.read()
        assert await desk.deliveries() == []
    await desk.read()
    assert [each.journal_id for each in await desk.deliveries()] == [late, early]


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_while_one_process_reads_the_others_leave_it_alone(desk: Desk) -> None:
    await desk.endpoint("message.sent")
    await desk.happens("message.sent")
    async with desk.database.writing() as session:
        mine = await journal.read_on(session, READER, {"message.sent"}, 10)
        async with desk.database.writing() as other:
            theirs = await journal.read_on(other, READER, {"message.sent"}, 10)
    assert (len(mine.entries), theirs.entries) == (1, [])


async def test_several_readers_write_each_delivery_once(desk: Desk) -> None:
    await desk.endpoint("message.sent")
    for _ in range(25):
        await desk.happens("message.sent")
    desk.clock.advance(1)
    await asyncio.gather(
        *(Fanout(desk.database, desk.clock).run_once() for _ in range(4)), return_exceptions=False
    )
    await desk.read()
    assert len(await desk.deliveries()) == 25


async def test_two_processes_may_begin_at_once(desk: Desk) -> None:
    async def begin() -> None:
        async with desk.database.writing() as session:
            await journal.read_on(session, "new", set(), 10)

    await asyncio.gather(begin(), begin(), begin())
    async with desk.database.reading() as session:
        counted = await session.scalar(
            select(func.count()).select_from(JournalReader).where(JournalReader.name == "new")
        )
    assert counted == 1


async def test_a_reader_that_nothing_concerns_does_not_write(desk: Desk) -> None:
    await desk.endpoint("number.connected")
    await desk.read()
    async with desk.database.reading() as session:
        before = await journal.load_cursor(session, READER)
    await desk.happens("message.sent")
    await desk.read()
    async with desk.database.reading() as session:
        assert await journal.load_cursor(session, READER) == before


async def test_old_deliveries_are_forgotten_and_open_ones_are_kept(desk: Desk) -> None:
    await desk.endpoint("message.sent")
    await desk.happens("message.sent")
    await desk.happens("message.sent")
    await desk.read()
    first, _ = await desk.deliveries()
    async with desk.database.writing() as session:
        row = await session.get_one(WebhookDelivery, first.id)
        row.status = "failed"
    async with desk.database.writing() as session:
        await queries.forget_old(session, desk.clock.now() + timedelta(seconds=1))
    assert [each.status for each in await desk.deliveries()] == ["pending"]
