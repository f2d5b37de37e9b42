"""Lists of groups: what a filter means, and that SQL and the rules say the same."""

import itertools
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from tests.integration.groups.conftest import Phone, many
from tests.support.cast import Cast
from tests.support.factories import make_group, make_membership, make_number

from groupline.db import Database
from groupline.groups import queries
from groupline.groups.names import search_name
from groupline.groups.queries import (
    groups_by_ids,
    ids_of,
    list_groups,
    matching_count,
)
from groupline.groups.schemas import GroupFilter, GroupView
from groupline.ids import new_id
from groupline.web.group_picker import chosen_ids, picker

_BOOLEANS = (False, True)


async def all_kinds(session: AsyncSession, organization_id: UUID) -> tuple[UUID, UUID]:
    """A group for every combination of facts, with a number in each, and another in a few."""
    first = await make_number(session, organization_id=organization_id)
    second = await make_number(session, organization_id=organization_id)
    for facts in itertools.product(_BOOLEANS, repeat=5):
        community, announce, admins_only, is_admin, is_active = facts
        group = await make_group(
            session,
            organization_id=organization_id,
            is_community=community,
            is_community_announce=announce,
            announce_only=admins_only,
        )
        await make_membership(
            session,
            organization_id=organization_id,
            number_id=first.id,
            group_id=group.id,
            is_admin=is_admin,
            is_active=is_active,
            missing_since=None if is_active else group.created_at,
        )
        if is_admin != is_active:
            await make_membership(
                session, organization_id=organization_id, number_id=second.id, group_id=group.id
            )
    await make_group(session, organization_id=organization_id)
    return first.id, second.id


async def listed(
    session: AsyncSession, organization_id: UUID, wanted: GroupFilter
) -> set[GroupView]:
    page = await list_groups(session, organization_id, wanted, limit=100)
    assert page.total == len(page.groups)
    assert await matching_count(session, organization_id, wanted) == page.total
    ids = await ids_of(session, organization_id, wanted)
    assert ids == [group.id for group in page.groups]
    return set(page.groups)


@pytest.mark.parametrize(
    ("of_number", "few"), [(None, 1_000), (0, 1_000), (1, 1_000), (0, 0), (1, 0)]
)
async def test_sql_and_the_rules_agree_on_who_can_send_and_who_is_in(
    database: Database,
    cast: Cast,
    of_number: int | None,
    few: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where a number is taken to be in so many groups that they are looked for otherwise."""
    monkeypatch.setattr(queries, "_FEW", few)
    organization_id = cast.organization_id
    async with database.writing() as session:
        numbers = await all_kinds(session, organization_id)
    number_id = None if of_number is None else numbers[of_number]

    async with database.reading() as session:
        everything = await listed(session, organization_id, GroupFilter(number_id=number_id))
        for sendable, active in itertools.product((None, True, False), repeat=2):
            found = await listed(
                session,
                organization_id,
                GroupFilter(number_id=number_id, sendable=sendable, active=active),
            )
            assert found == {
                group
                for group in everything
                if sendable in (None, group.unsendable is None)
                and active in (None, _is_in(group, number_id))
            }


def _is_in(group: GroupView, number_id: UUID | None) -> bool:
    return any(number_id in (None, one.number_id) for one in group.active_memberships)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["100% ours", "100 percent", "alpha beta", "Beta Alpha", "gamma_delta"]),
        ("ALPHA beta", ["alpha beta", "Beta Alpha"]),
        ("eta lph", ["alpha beta", "Beta Alpha"]),
        ("0%", ["100% ours"]),
        ("a_d", ["gamma_delta"]),
        ("\\", []),
        ('"', []),
        ("'; --", []),
        ("be", ["alpha beta", "Beta Alpha"]),
        ("nothing at all", []),
    ],
)
async def test_search_takes_words_as_they_are(
    database: Database, cast: Cast, query: str, names: list[str]
) -> None:
    async with database.writing() as session:
        for name in ["alpha beta", "Beta Alpha", "100% ours", "100 percent", "gamma_delta"]:
            jid = f"{new_id().int % 10**18}@g.us"
            await make_group(
                session,
                organization_id=cast.organization_id,
                group_jid=jid,
                group_name=name,
                search_name=search_name(name, "x@g.us"),
            )

    async with database.reading() as session:
        page = await list_groups(session, cast.organization_id, GroupFilter(query=query))

    assert sorted(group.title for group in page.groups) == sorted(names)


async def test_a_group_without_a_name_is_found_by_the_middle_of_its_id(phone: Phone) -> None:
    jid = "120363041122334455@g.us"
    await phone.synced([{"id": jid}, {"id": "120363041199994455@g.us", "name": "Workshop"}])

    async def found(query: str) -> list[str]:
        async with phone.runtime.database.reading() as session:
            wanted = GroupFilter(query=query)
            page = await list_groups(session, phone.organization_id, wanted)
        return [group.jid for group in page.groups]

    for query in ("411223", "120363041122334455", jid, "334455"):
        assert await found(query) == [jid]
    await phone.synced([{"id": jid, "name": "Named now"}])
    assert (await found("named"), await found("334455")) == ([jid], [jid])


@pytest.mark.parametrize("few", [0, 1_000])
async def test_a_page_of_a_number_and_its_total_are_right_however_many_its_groups_are(
    phone: Phone, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "_FEW", few)
    await phone.synced(many(60))
    await phone.synced(many(55))
    found, totals, after = [], set(), None
    wanted = GroupFilter(number_id=phone.number_id, active=True, query="workshop")

    async with phone.runtime.database.reading() as session:
        for _ in range(3):
            page = await list_groups(session, phone.organization_id, wanted, after=after, limit=20)
            found += [group.title for group in page.groups]
            totals.add(page.total)
            after = page.next_cursor
        everything = GroupFilter(number_id=phone.number_id)
        whole = await list_groups(session, phone.organization_id, everything, limit=20)

    assert found == [f"Workshop {number:04d}" for number in range(55)]
    assert (after, totals, whole.total) == (None, {55}, 60)


async def test_the_picker_shows_what_was_chosen_first_and_says_why_not(
    database: Database, cast: Cast
) -> None:
    async with database.writing() as session:
        first, _ = await all_kinds(session, cast.organization_id)

    async with database.reading() as session:
        sendable = await ids_of(
            session, cast.organization_id, GroupFilter(number_id=first, sendable=True)
        )
        found = await picker(session, cast.organization_id, first, chosen=sendable[-1:])

    assert found.rows[0].id == sendable[-1]
    assert found.is_chosen(found.rows[0])
    assert len(found.rows) == len({group.id for group in found.rows}) == 16
    assert found.sendable == len(sendable) == 5
    assert {group.unsendable is None for group in found.rows} == {True, False}


async def test_a_form_may_choose_groups_and_all_that_match(database: Database, cast: Cast) -> None:
    organization_id = cast.organization_id
    async with database.writing() as session:
        first, second = await all_kinds(session, organization_id)

    async with database.reading() as session:
        sendable = await ids_of(
            session, organization_id, GroupFilter(number_id=first, sendable=True)
        )
        everything = await chosen_ids(
            session, organization_id, first, chosen=sendable[:2], matching=["group", ""]
        )
        none = await chosen_ids(session, organization_id, second, chosen=[], matching=["zebra"])
        foreign = await groups_by_ids(session, cast.outside_organization_id, sendable)

    assert sorted(everything) == sorted(sendable)
    assert none == []
    assert foreign == ()
