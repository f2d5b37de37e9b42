"""Organizations and their API keys."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.support.cast import Cast
from tests.support.clock import NOW

from groupline.db import Database
from groupline.errors import Forbidden, InvalidInput, NotFound
from groupline.journal import SYSTEM, newest
from groupline.models import ApiKey, JournalEntry, Organization
from groupline.orgs.access import principal_of_key
from groupline.orgs.api_keys import create_api_key, list_api_keys, revoke_api_key
from groupline.orgs.rules import Principal, Scope
from groupline.orgs.schemas import NewApiKey
from groupline.orgs.service import (
    change_organization,
    create_organization,
    find_organization,
    organization_of,
)


async def create(database: Database, name: str, slug: str | None = None) -> Organization:
    async with database.writing() as session:
        return await create_organization(
            session, name=name, timezone="UTC", slug=slug, actor=SYSTEM, now=NOW
        )


async def test_organizations_of_one_name_get_short_names_of_their_own(
    database: Database,
) -> None:
    made = await asyncio.gather(*(create(database, "Morning Workshops") for _ in range(4)))
    assert sorted(each.slug for each in made) == [
        "morning-workshops",
        "morning-workshops-2",
        "morning-workshops-3",
        "morning-workshops-4",
    ]


async def test_a_short_name_that_is_taken_or_odd_is_refused(database: Database, cast: Cast) -> None:
    for slug in (cast.slug, "Not A Slug"):
        with pytest.raises(InvalidInput) as refused:
            await create(database, "Another", slug)
        assert list(refused.value.fields) == ["slug"]


async def test_an_organization_is_found_by_its_short_name(database: Database, cast: Cast) -> None:
    async with database.reading() as session:
        assert (await find_organization(session, cast.slug)).id == cast.organization_id
        with pytest.raises(NotFound):
            await find_organization(session, "nowhere")


async def test_a_change_is_journaled_with_before_and_after(
    database: Database, owner: Principal
) -> None:
    async with database.writing() as session:
        await change_organization(session, owner, name="New Name", timezone="UTC", now=NOW)
    async with database.reading() as session:
        (entry,) = await newest(session, owner.organization_id)
        organization = await organization_of(session, owner)
    assert entry.data == {
        "before": {"name": "Inside", "timezone": "Asia/Kolkata"},
        "after": {"name": "New Name", "timezone": "UTC"},
    }
    assert (organization.name, organization.slug) == ("New Name", "inside")


async def test_a_change_to_what_is_so_already_is_not_told(
    database: Database, owner: Principal, cast: Cast
) -> None:
    async with database.writing() as session:
        await change_organization(session, owner, name="Inside", slug=cast.slug, now=NOW)
    async with database.reading() as session:
        assert await newest(session, owner.organization_id) == []


async def test_one_wrong_value_changes_none(
    database: Database, owner: Principal, cast: Cast
) -> None:
    with pytest.raises(InvalidInput):
        async with database.writing() as session:
            await change_organization(session, owner, name="New", slug=cast.outside_slug, now=NOW)
    async with database.reading() as session:
        assert (await organization_of(session, owner)).name == "Inside"


async def make_key(database: Database, by: Principal, *scopes: Scope) -> NewApiKey:
    async with database.writing() as session:
        return await create_api_key(session, by, name="Reporting", scopes=scopes, now=NOW)


async def test_a_key_opens_its_organization_with_its_scopes(
    database: Database, owner: Principal
) -> None:
    made = await make_key(database, owner, Scope.SEND, Scope.READ)
    who = await principal_of_key(database, made.secret, now=NOW)
    assert who is not None
    assert who.organization_id == owner.organization_id
    assert who.scopes == frozenset({Scope.READ, Scope.SEND})
    assert (who.role, who.user_id, who.is_instance_admin) == (None, None, False)
    assert who.actor.kind == "api_key"
    assert who.timezone == "Asia/Kolkata"


async def test_a_key_is_shown_once_and_only_its_digest_is_kept(
    database: Database, owner: Principal
) -> None:
    made = await make_key(database, owner, Scope.READ)
    assert made.secret.startswith("glk_")
    assert made.secret.startswith(made.api_key.prefix)
    async with database.reading() as session:
        row = (await session.execute(select(ApiKey.__table__))).one()
        data = [entry.data for entry in await session.scalars(select(JournalEntry))]
    assert made.secret not in f"{row}{data}"
    assert len(made.api_key.prefix) < len(made.secret) / 3


async def test_a_revoked_key_stops_at_once_and_stays_in_the_list(
    database: Database, owner: Principal
) -> None:
    made = await make_key(database, owner, Scope.READ)
    for _ in range(2):
        async with database.writing() as session:
            key = await revoke_api_key(session, owner, made.api_key.id, now=NOW)
        assert key.revoked_at == NOW
    assert await principal_of_key(database, made.secret, now=NOW) is None
    async with database.reading() as session:
        assert [each.id for each in await list_api_keys(session, owner)] == [made.api_key.id]
        actions = [entry.action for entry in await newest(session, owner.organization_id)]
    assert actions == ["api_key.revoked", "api_key.created"]


async def test_last_used_moves_once_a_minute(database: Database, owner: Principal) -> None:
    made = await make_key(database, owner, Scope.READ)
    seen = []
    for seconds in (0, 59, 60, 90):
        await principal_of_key(database, made.secret, now=NOW + timedelta(seconds=seconds))
        async with database.reading() as session:
            (key,) = await list_api_keys(session, owner)
        assert key.last_used_at is not None
        seen.append((key.last_used_at - NOW).total_seconds())
    assert seen == [0, 0, 60, 60]


async def test_an_admin_gives_no_key_the_rights_of_an_owner(
    database: Database, admin: Principal
) -> None:
    with pytest.raises(Forbidden):
        await make_key(database, admin, Scope.READ, Scope.ADMIN)
    with pytest.raises(InvalidInput):
        await make_key(database, admin)
    assert (await make_key(database, admin, Scope.SEND)).api_key.scopes == ["send"]


async def test_keys_of_another_organization_do_not_exist(
    database: Database, owner: Principal, outsider: Principal
) -> None:
    made = await make_key(database, owner, Scope.READ)
    async with database.writing() as session:
        with pytest.raises(NotFound):
            await revoke_api_key(session, outsider, made.api_key.id, now=NOW)
        assert await list_api_keys(session, outsider) == []
    assert await principal_of_key(database, made.secret, now=NOW) is not None


async def test_keys_come_newest_first_in_pages(database: Database, owner: Principal) -> None:
    ids = [(await make_key(database, owner, Scope.READ)).api_key.id for _ in range(3)]
    async with database.reading() as session:
        first = await list_api_keys(session, owner, limit=2)
        rest = await list_api_keys(session, owner, before=first[-1].id)
    assert [each.id for each in (*first, *rest)] == ids[::-1]
