"""One-time links: the first run, and the first password of a new member."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from tests.support.cast import Cast
from tests.support.clock import ManualClock
from tests.support.factories import make_user

from groupline.db import Database
from groupline.errors import Conflict, InvalidInput, NotFound
from groupline.journal import newest
from groupline.models import Organization, SetupLink, User
from groupline.orgs.access import signed_in_with
from groupline.orgs.links import make_setup_link, open_link
from groupline.orgs.logins import Client
from groupline.orgs.rules import Principal, Role
from groupline.orgs.schemas import FirstRun, NewLogin
from groupline.orgs.service import add_member
from groupline.orgs.setup import FirstRunInput, choose_password, set_up

HERE = Client("192.0.2.1")
LIFETIME = timedelta(days=30)
WANTED = FirstRunInput(
    organization_name="Morning Workshops",
    timezone="Asia/Kolkata",
    name="First Owner",
    email="Owner@Example.test",
    password="a long password",
)


@pytest.fixture
async def link(database: Database, clock: ManualClock) -> str:
    async with database.writing() as session:
        return await make_setup_link(session, now=clock.now())


async def run(
    database: Database, clock: ManualClock, token: str, wanted: FirstRunInput = WANTED
) -> tuple[FirstRun, NewLogin]:
    return await set_up(database, clock, token, wanted, client=HERE, lifetime=LIFETIME)


async def count(database: Database) -> tuple[int, int]:
    async with database.reading() as session:
        users = await session.scalar(select(func.count()).select_from(User))
        organizations = await session.scalar(select(func.count()).select_from(Organization))
    return users or 0, organizations or 0


async def test_the_first_run_makes_owner_and_organization_and_signs_in(
    database: Database, clock: ManualClock, link: str
) -> None:
    created, login = await run(database, clock, link)
    who = await signed_in_with(database, login.token, now=clock.now())
    assert who is not None
    assert who.is_instance_admin
    assert (who.email, who.name) == ("owner@example.test", "First Owner")
    (membership,) = who.memberships
    assert (membership.role, membership.slug) == (Role.OWNER, "morning-workshops")
    assert membership.timezone == "Asia/Kolkata"
    async with database.reading() as session:
        actions = {entry.action for entry in await newest(session, created.organization.id)}
    assert actions == {"organization.created", "installation.set_up"}


async def test_two_who_use_the_link_at_once_end_in_one_owner(
    database: Database, clock: ManualClock, link: str
) -> None:
    other = replace(WANTED, email="second@example.test", organization_name="Second")
    results = await asyncio.gather(
        run(database, clock, link), run(database, clock, link, other), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in results) == ["NotFound", "tuple"]
    assert await count(database) == (1, 1)


async def test_the_link_works_once(database: Database, clock: ManualClock, link: str) -> None:
    await run(database, clock, link)
    with pytest.raises(NotFound):
        await run(database, clock, link, replace(WANTED, email="second@example.test"))
    assert await count(database) == (1, 1)


async def test_the_link_expires_after_a_day(
    database: Database, clock: ManualClock, link: str
) -> None:
    clock.advance(24 * 3600 - 1)
    async with database.reading() as session:
        await open_link(session, link, now=clock.now())
    clock.advance(1)
    with pytest.raises(NotFound):
        await run(database, clock, link)
    assert await count(database) == (0, 0)


async def test_the_link_is_over_once_somebody_has_an_account(
    database: Database, clock: ManualClock, link: str
) -> None:
    async with database.writing() as session:
        await make_user(session)
        with pytest.raises(Conflict, match="set up already"):
            await make_setup_link(session, now=clock.now())
    with pytest.raises(NotFound):
        await run(database, clock, link)


async def test_a_new_link_ends_the_one_before(
    database: Database, clock: ManualClock, link: str
) -> None:
    async with database.writing() as session:
        newer = await make_setup_link(session, now=clock.now())
    with pytest.raises(NotFound):
        await run(database, clock, link)
    await run(database, clock, newer)


async def test_only_a_digest_of_the_link_is_stored(database: Database, link: str) -> None:
    async with database.reading() as session:
        stored = await session.scalar(select(SetupLink.token_hash))
    assert stored is not None
    assert link not in stored


async def test_what_is_wrong_is_named_at_once_and_the_link_stays(
    database: Database, clock: ManualClock, link: str
) -> None:
    wrong = FirstRunInput(organization_name="", timezone="x", name=" ", email="x", password="x")
    with pytest.raises(InvalidInput) as refused:
        await run(database, clock, link, wrong)
    assert set(refused.value.fields) == {"organizationName", "timezone", "name", "email"}
    assert await count(database) == (0, 0)
    await run(database, clock, link)


@pytest.fixture
async def invited(database: Database, clock: ManualClock, owner: Principal) -> tuple[str, str]:
    """The address and the link of a new member."""
    async with database.writing() as session:
        added = await add_member(
            session, owner, email="new@example.test", role=Role.VIEWER, now=clock.now()
        )
    assert added.link_token is not None
    return added.member.email, added.link_token


async def choose(
    database: Database, clock: ManualClock, token: str, password: str = "a long password"
) -> NewLogin:
    return await choose_password(database, clock, token, password, client=HERE, lifetime=LIFETIME)


async def test_a_new_member_chooses_a_password_and_is_in(
    database: Database, clock: ManualClock, invited: tuple[str, str], cast: Cast
) -> None:
    email, token = invited
    login = await choose(database, clock, token)
    who = await signed_in_with(database, login.token, now=clock.now())
    assert who is not None
    assert who.email == email
    assert [each.organization_id for each in who.memberships] == [cast.organization_id]
    assert not who.is_instance_admin


async def test_a_members_link_works_once_even_for_two_at_once(
    database: Database, clock: ManualClock, invited: tuple[str, str]
) -> None:
    _, token = invited
    results = await asyncio.gather(
        choose(database, clock, token),
        choose(database, clock, token, "another long password"),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in results) == ["NewLogin", "NotFound"]


async def test_a_weak_password_leaves_the_members_link_as_it_is(
    database: Database, clock: ManualClock, invited: tuple[str, str]
) -> None:
    email, token = invited
    for weak in ("short", email):
        with pytest.raises(InvalidInput):
            await choose(database, clock, token, weak)
    await choose(database, clock, token)


async def test_each_kind_of_link_opens_its_own_door_only(
    database: Database, clock: ManualClock, invited: tuple[str, str]
) -> None:
    with pytest.raises(NotFound):
        await run(database, clock, invited[1])
    with pytest.raises(NotFound):
        await choose(database, clock, "a token that nobody made")


async def test_the_link_to_the_first_run_sets_no_password(
    database: Database, clock: ManualClock, link: str
) -> None:
    with pytest.raises(NotFound):
        await choose(database, clock, link)
