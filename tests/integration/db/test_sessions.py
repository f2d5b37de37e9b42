"""Sessions own nothing: one is connected, the others are history that can go."""

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from tests.support.cast import Cast
from tests.support.factories import (
    make_campaign,
    make_event,
    make_membership,
    make_message,
    make_number,
    make_organization,
    make_session,
)

from groupline.db import Database
from groupline.ids import new_id
from groupline.models import ScheduledWhatsappMessage, WhatsappNumber, WhatsappSession


async def test_a_number_has_one_connected_session(database: Database, cast: Cast) -> None:
    organization_id = cast.organization_id
    async with database.writing() as session:
        number = await make_number(session, organization_id=organization_id)
        await make_session(session, organization_id=organization_id, number_id=number.id)
        await make_session(
            session, organization_id=organization_id, number_id=number.id, status="disconnected"
        )
    with pytest.raises(IntegrityError, match=r"(?i)unique"):
        async with database.writing() as session:
            await make_session(session, organization_id=organization_id, number_id=number.id)


async def test_one_phone_may_be_connected_in_two_organizations(
    database: Database, cast: Cast
) -> None:
    async with database.writing() as session:
        for organization_id in (cast.organization_id, cast.outside_organization_id):
            number = await make_number(
                session, organization_id=organization_id, phone_number="919876543210"
            )
            await make_session(session, organization_id=organization_id, number_id=number.id)


async def test_deleting_a_session_from_the_history_loses_nothing_else(
    database: Database, cast: Cast
) -> None:
    organization_id = cast.organization_id
    async with database.writing() as session:
        number = await make_number(session, organization_id=organization_id)
        newer = await make_session(session, organization_id=organization_id, number_id=number.id)
        old = await make_session(
            session,
            organization_id=organization_id,
            number_id=number.id,
            status="disconnected",
            ended_reason="replaced",
            replaced_by_id=newer.id,
        )
        older = await make_session(
            session,
            organization_id=organization_id,
            number_id=number.id,
            status="disconnected",
            ended_reason="replaced",
            replaced_by_id=old.id,
        )
        await make_membership(session, organization_id=organization_id, number_id=number.id)
        await make_campaign(session, organization_id=organization_id, number_id=number.id)
        await make_event(session, organization_id=organization_id, number_id=number.id)
        sent = await make_message(
            session,
            organization_id=organization_id,
            number_id=number.id,
            session_id=old.id,
            status="sent",
        )
    async with database.writing() as session:
        await session.execute(delete(WhatsappSession).where(WhatsappSession.id == old.id))

    async with database.reading() as session:
        left = set(await session.scalars(select(WhatsappSession.id)))
        numbers = (await session.execute(select(func.count(WhatsappNumber.id)))).scalar_one()
        message = await session.get_one(ScheduledWhatsappMessage, sent.id)
    assert left == {newer.id, older.id}
    assert numbers == 1
    assert (message.status, message.session_id) == ("sent", old.id)


async def test_a_number_with_a_history_cannot_be_deleted(database: Database, cast: Cast) -> None:
    async with database.writing() as session:
        number = await make_number(session, organization_id=cast.organization_id)
        await make_session(
            session,
            organization_id=cast.organization_id,
            number_id=number.id,
            status="disconnected",
        )
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        async with database.writing() as session:
            await session.execute(delete(WhatsappNumber).where(WhatsappNumber.id == number.id))


async def test_an_organization_cannot_be_born_with_the_number_of_another(
    database: Database, cast: Cast
) -> None:
    async with database.writing() as session:
        foreign = await make_number(session, organization_id=cast.outside_organization_id)
    for number_id in (foreign.id, new_id()):
        with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
            async with database.writing() as session:
                await make_organization(session, community_number_id=number_id)
