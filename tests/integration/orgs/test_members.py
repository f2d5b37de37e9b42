"""Members: added, changed, removed; never without an owner, never across organizations."""

import asyncio
from uuid import UUID

import pytest
from tests.support.cast import Cast
from tests.support.clock import NOW
from tests.support.factories import make_member, make_user

from groupline.db import Announcements, Database
from groupline.errors import Conflict, Forbidden, InvalidInput, NotFound
from groupline.journal import newest
from groupline.orgs import queries
from groupline.orgs.links import open_link
from groupline.orgs.rules import Principal, Role
from groupline.orgs.schemas import AddedMember
from groupline.orgs.service import (
    add_member,
    change_role,
    find_member,
    list_members,
    remove_member,
    renew_member_link,
)


async def add(
    database: Database, by: Principal, email: str, role: Role = Role.OPERATOR
) -> AddedMember:
    async with database.writing() as session:
        return await add_member(session, by, email=email, role=role, now=NOW)


async def emails(database: Database, by: Principal) -> list[str]:
    async with database.reading() as session:
        return [member.email for member in await list_members(session, by)]


async def test_a_new_person_gets_a_link_and_is_invited(
    database: Database, owner: Principal
) -> None:
    added = await add(database, owner, "New.Person@Example.test")
    assert added.link_token
    assert added.member.email == "new.person@example.test"
    assert added.member.name == "new.person"
    assert added.member.is_invited


async def test_a_person_who_is_known_keeps_name_and_password_and_gets_no_link(
    database: Database, owner: Principal, cast: Cast
) -> None:
    async with database.writing() as session:
        added = await add_member(
            session,
            owner,
            email=cast.outsider.email,
            name="Another Name",
            role=Role.VIEWER,
            password_hash="another",
            now=NOW,
        )
        user = await queries.user(session, cast.outsider.user_id)
    assert added.link_token is None
    assert added.member.name == "Outsider"
    assert user is not None
    assert user.password_hash != "another"


async def test_nobody_is_a_member_twice(database: Database, owner: Principal, cast: Cast) -> None:
    with pytest.raises(Conflict, match="member already"):
        await add(database, owner, cast.viewer.email.upper())


async def test_two_who_add_the_same_person_at_once_end_in_one_member(
    database: Database, owner: Principal, admin: Principal
) -> None:
    results = await asyncio.gather(
        add(database, owner, "twice@example.test"),
        add(database, admin, "twice@example.test"),
        return_exceptions=True,
    )
    assert sum(isinstance(each, AddedMember) for each in results) == 1
    assert sum(isinstance(each, Conflict) for each in results) == 1
    assert (await emails(database, owner)).count("twice@example.test") == 1


async def test_an_admin_adds_everybody_but_owners(database: Database, admin: Principal) -> None:
    await add(database, admin, "admin2@example.test", Role.ADMIN)
    with pytest.raises(Forbidden):
        await add(database, admin, "owner2@example.test", Role.OWNER)
    assert "owner2@example.test" not in await emails(database, admin)


async def test_an_admin_and_a_program_cannot_touch_an_owner(
    database: Database, admin: Principal, program: Principal, cast: Cast
) -> None:
    for by in (admin, program):
        async with database.writing() as session:
            await make_member(session, organization_id=cast.organization_id, role="owner")
            with pytest.raises(Forbidden):
                await change_role(session, by, cast.owner.user_id, Role.ADMIN, now=NOW)
            with pytest.raises(Forbidden):
                await remove_member(session, by, cast.owner.user_id, now=NOW)
            with pytest.raises(Forbidden):
                await change_role(session, by, cast.viewer.user_id, Role.OWNER, now=NOW)


async def test_the_last_owner_is_neither_removed_nor_demoted(
    database: Database, owner: Principal, cast: Cast
) -> None:
    for wanted in (Role.ADMIN, Role.OPERATOR, Role.VIEWER):
        async with database.writing() as session:
            with pytest.raises(Conflict, match="only owner"):
                await change_role(session, owner, cast.owner.user_id, wanted, now=NOW)
    async with database.writing() as session:
        with pytest.raises(Conflict, match="only owner"):
            await remove_member(session, owner, cast.owner.user_id, now=NOW)
    async with database.reading() as session:
        assert (await find_member(session, owner, cast.owner.user_id)).role is Role.OWNER


async def test_two_owners_who_remove_each_other_at_once_leave_one(
    database: Database, owner: Principal, cast: Cast
) -> None:
    async with database.writing() as session:
        other = await make_member(session, organization_id=cast.organization_id, role="owner")

    async def remove(user_id: UUID) -> None:
        async with database.writing() as session:
            await remove_member(session, owner, user_id, now=NOW)

    results = await asyncio.gather(
        remove(other.user_id), remove(cast.owner.user_id), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in results) == ["Conflict", "NoneType"]
    async with database.reading() as session:
        assert await queries.count_owners(session, cast.organization_id) == 1


async def test_a_change_of_role_is_journaled_and_announced(
    database: Database, announcements: Announcements, owner: Principal, cast: Cast
) -> None:
    async with announcements.subscribe() as heard:
        async with database.writing() as session:
            member = await change_role(session, owner, cast.viewer.user_id, Role.OPERATOR, now=NOW)
        announcements.close()
        if database.dialect == "sqlite":
            topics = {each.topic async for each in heard}
            assert topics == {"organization", "journal"}
    assert member.role is Role.OPERATOR
    async with database.reading() as session:
        (entry,) = await newest(session, cast.organization_id)
    assert (entry.action, entry.subject_id) == ("member.role_changed", cast.viewer.user_id)
    assert entry.data == {
        "email": cast.viewer.email,
        "before": "viewer",
        "after": "operator",
    }
    assert entry.actor_id == str(cast.owner.user_id)


async def test_a_change_to_what_is_so_already_is_not_told(
    database: Database, owner: Principal, cast: Cast
) -> None:
    async with database.writing() as session:
        await change_role(session, owner, cast.viewer.user_id, Role.VIEWER, now=NOW)
    async with database.reading() as session:
        assert await newest(session, cast.organization_id) == []


async def test_members_of_another_organization_do_not_exist(
    database: Database, outsider: Principal, cast: Cast
) -> None:
    victim = cast.viewer.user_id
    async with database.writing() as session:
        for attempt in (
            find_member(session, outsider, victim),
            change_role(session, outsider, victim, Role.VIEWER, now=NOW),
            remove_member(session, outsider, victim, now=NOW),
            renew_member_link(session, outsider, victim, now=NOW),
        ):
            with pytest.raises(NotFound):
                await attempt
    assert await emails(database, outsider) == [cast.outsider.email]


async def test_members_come_in_pages(database: Database, owner: Principal) -> None:
    async with database.reading() as session:
        everybody = [member.email for member in await list_members(session, owner)]
        first = await list_members(session, owner, limit=3)
        rest = await list_members(session, owner, after=first[-1].email)
    assert [member.email for member in (*first, *rest)] == everybody == sorted(everybody)


async def test_a_new_link_ends_the_one_before(database: Database, owner: Principal) -> None:
    added = await add(database, owner, "new@example.test")
    async with database.writing() as session:
        token = await renew_member_link(session, owner, added.member.user_id, now=NOW)
    assert token != added.link_token
    async with database.reading() as session:
        assert added.link_token is not None
        with pytest.raises(NotFound):
            await open_link(session, added.link_token, now=NOW)
        _, email = await open_link(session, token, now=NOW)
    assert email == "new@example.test"


async def test_there_is_no_new_link_to_an_account_that_others_know(
    database: Database, owner: Principal, outsider: Principal, cast: Cast
) -> None:
    with_password = cast.viewer.user_id
    pending = (await add(database, outsider, "pending@example.test")).member.user_id
    await add(database, owner, "pending@example.test")
    for user_id in (with_password, pending):
        async with database.writing() as session:
            with pytest.raises(Conflict, match="has an account"):
                await renew_member_link(session, owner, user_id, now=NOW)


async def test_an_address_that_is_none_is_refused_and_nothing_is_written(
    database: Database, owner: Principal
) -> None:
    before = await emails(database, owner)
    with pytest.raises(InvalidInput):
        await add(database, owner, "nonsense")
    assert await emails(database, owner) == before


async def test_the_first_person_administers_the_installation_and_others_when_told(
    database: Database,
) -> None:
    async def is_admin(*, only_if_first: bool) -> bool:
        async with database.writing() as session:
            user_id = (await make_user(session)).id
            await queries.make_instance_admin(session, user_id, only_if_first=only_if_first)
        async with database.reading() as session:
            user = await queries.user(session, user_id)
        assert user is not None
        return user.is_instance_admin

    assert await is_admin(only_if_first=True)
    assert not await is_admin(only_if_first=True)
    assert await is_admin(only_if_first=False)
