"""Moving a number's work to another number."""

import pytest
from sqlalchemy import select
from tests.integration.numbers.conftest import OWNER, Desk
from tests.integration.numbers.test_takeover import give_work
from tests.support.cast import Cast
from tests.support.factories import (
    make_event,
    make_event_group,
    make_group,
    make_membership,
    make_message,
    make_number,
)

from groupline.errors import InvalidInput, NotFound
from groupline.models import (
    Event,
    NotificationCampaign,
    Organization,
    ScheduledWhatsappMessage,
    WhatsappMembership,
    WhatsappNumber,
)
from groupline.numbers.handover import Handover, hand_over

MOVES = {"workshops": 2, "webinars": 1, "campaigns": 2, "messages": 3, "organizations": 1}


async def pair_of_numbers(desk: Desk) -> tuple[WhatsappNumber, WhatsappNumber]:
    """The first has work; the second is in three of the four groups that it is about."""
    async with desk.database.writing() as session:
        source, target = [
            await make_number(session, organization_id=desk.organization_id) for _ in range(2)
        ]
    await give_work(desk, source.id)
    async with desk.database.writing() as session:
        memberships = await session.scalars(
            select(WhatsappMembership).where(WhatsappMembership.is_active.is_(True))
        )
        for membership in memberships.all():
            await make_membership(
                session,
                organization_id=desk.organization_id,
                number_id=target.id,
                group_id=membership.group_id,
            )
        under_way = await make_group(session, organization_id=desk.organization_id)
        await make_message(
            session,
            organization_id=desk.organization_id,
            number_id=source.id,
            group_id=under_way.id,
            status="uncertain",
            error_code="no_answer",
        )
    return source, target


async def handed_over(
    desk: Desk, source: WhatsappNumber, target: WhatsappNumber, *, dry_run: bool
) -> Handover:
    async with desk.database.writing() as session:
        return await hand_over(
            session,
            desk.organization_id,
            source.id,
            target.id,
            dry_run=dry_run,
            actor=OWNER,
            now=desk.clock.now(),
        )


async def everything(desk: Desk) -> list[object]:
    async with desk.database.reading() as session:
        rows: list[object] = []
        for model in (Event, NotificationCampaign, ScheduledWhatsappMessage):
            found = await session.execute(select(model.id, model.number_id).order_by(model.id))
            rows += map(tuple, found)
        rows += await session.scalars(
            select(Organization.community_number_id).order_by(Organization.id)
        )
    return rows


async def test_the_dry_run_says_what_would_happen_and_changes_nothing(desk: Desk) -> None:
    source, target = await pair_of_numbers(desk)
    before = await everything(desk)
    preview = await handed_over(desk, source, target, dry_run=True)
    assert (preview.moved, preview.moves) == (False, MOVES)
    assert preview.stays == {"messages": 1, "messagesUnderWay": 1}
    assert [group.messages for group in preview.missing_groups] == [1]
    assert await everything(desk) == before
    assert await desk.journal("number.handed_over") == []


async def test_what_is_planned_moves_and_what_happened_stays(desk: Desk) -> None:
    source, target = await pair_of_numbers(desk)
    done = await handed_over(desk, source, target, dry_run=False)
    assert (done.moved, done.moves, done.target_connected) == (True, MOVES, False)
    again = await handed_over(desk, source, target, dry_run=True)
    assert again.moves == dict.fromkeys(MOVES, 0)
    assert again.stays == {"messages": 1, "messagesUnderWay": 1}
    async with desk.database.reading() as session:
        done_ones = await session.scalars(select(Event.number_id).where(Event.status == "done"))
        assert set(done_ones) == {source.id}
    [entry] = await desk.journal("number.handed_over")
    assert (entry.subject_id, entry.data["to"]) == (source.id, str(target.id))
    assert entry.data["moved"] == MOVES


async def test_groups_of_planned_events_are_named_though_nothing_is_scheduled_yet(
    desk: Desk,
) -> None:
    async with desk.database.writing() as session:
        source, target = [
            await make_number(session, organization_id=desk.organization_id) for _ in range(2)
        ]
        event = await make_event(session, organization_id=desk.organization_id, number_id=source.id)
        group = await make_group(
            session, organization_id=desk.organization_id, group_name="Parents"
        )
        await make_event_group(
            session,
            organization_id=desk.organization_id,
            event_id=event.id,
            group_id=group.id,
        )
    preview = await handed_over(desk, source, target, dry_run=True)
    assert [(each.name, each.messages) for each in preview.missing_groups] == [("Parents", 0)]


async def test_to_itself_or_to_a_strangers_number_is_refused(desk: Desk, cast: Cast) -> None:
    async with desk.database.writing() as session:
        source = await make_number(session, organization_id=desk.organization_id)
        foreign = await make_number(session, organization_id=cast.outside_organization_id)
    with pytest.raises(InvalidInput):
        await handed_over(desk, source, source, dry_run=True)
    with pytest.raises(NotFound):
        await handed_over(desk, source, foreign, dry_run=True)
