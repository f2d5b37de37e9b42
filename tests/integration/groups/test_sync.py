"""A sync of groups says what it saved, and saves what the gateway said."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.contract.scripted import ScriptedGateway, answer
from tests.integration.db.test_announcements import hearing
from tests.integration.groups.conftest import Phone, connect_phone, listed, many
from tests.support.clock import ManualClock

from groupline.groups.queries import list_groups
from groupline.groups.schemas import GroupFilter
from groupline.groups.sync import GroupSync
from groupline.models import Gateway, JournalEntry, WhatsappGroup, WhatsappSession
from groupline.runtime import Runtime


async def test_27_groups_are_27_rows_and_the_answer_says_so(phone: Phone) -> None:
    result = await phone.synced(many(27))

    assert result.as_json() == {
        "success": True,
        "vpsCount": 27,
        "savedCount": 27,
        "added": 27,
        "updated": 0,
        "deactivated": 0,
        "skipped": [],
        "complete": True,
    }
    async with phone.runtime.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(WhatsappGroup)) == 27


async def test_the_same_list_again_changes_no_row(phone: Phone, clock: ManualClock) -> None:
    await phone.synced(many(27))
    before = await phone.saved()
    clock.advance(60)

    result = await phone.synced()

    after = await phone.saved()
    assert (result.saved_count, result.added, result.updated) == (27, 0, 27)
    assert {jid: (s.group.id, s.membership.id) for jid, s in after.items()} == {
        jid: (s.group.id, s.membership.id) for jid, s in before.items()
    }
    assert {s.group.synced_at for s in after.values()} == {clock.now() - timedelta(seconds=60)}
    assert {s.membership.synced_at for s in after.values()} == {clock.now() - timedelta(seconds=60)}


async def test_groups_that_were_left_become_inactive_and_come_back_with_the_same_ids(
    phone: Phone, clock: ManualClock
) -> None:
    await phone.synced(many(135))
    before = await phone.saved()
    clock.advance(60)

    left = await phone.synced(many(68))

    assert (left.vps_count, left.saved_count, left.deactivated) == (68, 68, 67)
    after = await phone.saved()
    assert [s.membership.is_active for s in after.values()] == [True] * 68 + [False] * 67
    assert {s.membership.missing_since for s in list(after.values())[68:]} == {clock.now()}
    assert [s.group.id for s in after.values()] == [s.group.id for s in before.values()]

    clock.advance(60)
    back = await phone.synced(many(135))

    returned = await phone.saved()
    assert (back.saved_count, back.added, back.updated) == (135, 67, 68)
    assert [s.membership.id for s in returned.values()] == [
        s.membership.id for s in before.values()
    ]
    assert {s.membership.missing_since for s in returned.values()} == {None}


async def test_what_a_later_list_omits_overwrites_nothing(phone: Phone) -> None:
    await phone.synced(
        [
            listed(
                1,
                name="Café",
                participants=12,
                isAdmin=True,
                announceOnly=True,
                isCommunityAnnounce=True,
                inviteLink="https://chat.whatsapp.com/AbCdEf123456",
            )
        ]
    )

    await phone.synced([{"id": listed(1)["id"]}])

    (saved,) = (await phone.saved()).values()
    group = saved.group
    assert (group.group_name, group.participant_count) == ("Café", 12)
    assert (group.announce_only, group.is_community_announce) == (True, True)
    assert group.invite_link == "https://chat.whatsapp.com/AbCdEf123456"
    assert saved.membership.is_admin


async def test_what_a_later_list_says_differently_is_taken_over(phone: Phone) -> None:
    await phone.synced([listed(1, isAdmin=True, announceOnly=True)])

    await phone.synced([listed(1, name="Renamed", isAdmin=False, announceOnly=False)])

    (saved,) = (await phone.saved()).values()
    assert (saved.group.group_name, saved.group.announce_only) == ("Renamed", False)
    assert saved.group.search_name.startswith("renamed ")
    assert not saved.membership.is_admin


async def test_a_new_count_of_members_is_written_and_nothing_else(
    phone: Phone, clock: ManualClock
) -> None:
    await phone.synced([listed(1, participants=10), listed(2, participants=10)])
    clock.advance(60)

    await phone.synced([listed(1, participants=11), listed(2, participants=10)])

    changed, same = (await phone.saved()).values()
    assert (changed.group.participant_count, changed.group.group_name) == (11, "Workshop 0001")
    assert (changed.group.search_name, changed.group.synced_at) == (
        "workshop 0001 000001",
        clock.now(),
    )
    assert (
        same.group.synced_at == changed.membership.synced_at == clock.now() - timedelta(minutes=1)
    )


async def test_only_admins_write_in_the_announcements_of_a_community(phone: Phone) -> None:
    await phone.synced([listed(1, isCommunityAnnounce=True, isAdmin=False)])

    (saved,) = (await phone.saved()).values()
    assert saved.group.announce_only


async def test_a_group_of_two_numbers_is_one_row_with_two_memberships(
    phone: Phone, runtime: Runtime, sync: GroupSync, gateway: ScriptedGateway
) -> None:
    other = await connect_phone(runtime, sync, gateway, phone.organization_id)

    await phone.synced([listed(1, isAdmin=True, inviteCode="AbCdEf123456"), listed(2)])
    await other.synced([listed(1, isAdmin=False), listed(3)])

    mine, theirs = await phone.saved(), await other.saved()
    shared = listed(1)["id"]
    assert mine[shared].group.id == theirs[shared].group.id
    assert (mine[shared].membership.is_admin, theirs[shared].membership.is_admin) == (True, False)
    assert theirs[shared].group.invite_link == "https://chat.whatsapp.com/AbCdEf123456"
    assert [len(mine), len(theirs)] == [2, 2]


async def test_what_one_number_left_stays_active_for_the_other(
    phone: Phone, runtime: Runtime, sync: GroupSync, gateway: ScriptedGateway
) -> None:
    other = await connect_phone(runtime, sync, gateway, phone.organization_id)
    await phone.synced(many(4))
    await other.synced(many(4))

    await phone.synced(many(3))

    left = listed(3)["id"]
    assert not (await phone.saved())[left].membership.is_active
    assert (await other.saved())[left].membership.is_active


async def test_two_numbers_that_sync_the_same_groups_at_once_do_not_get_in_each_others_way(
    phone: Phone, runtime: Runtime, sync: GroupSync, gateway: ScriptedGateway
) -> None:
    other = await connect_phone(runtime, sync, gateway, phone.organization_id)
    groups = many(500)
    gateway.says(answer(200, {"groups": groups}), answer(200, {"groups": groups[::-1]}))

    results = await asyncio.gather(phone.synced(), other.synced())

    assert [result.saved_count for result in results] == [500, 500]
    assert len(await phone.saved()) == len(await other.saved()) == 500


@pytest.mark.parametrize(
    ("groups", "document", "reason"),
    [
        ([], {}, "listed no groups at all"),
        (many(49), {}, "left out 51 of the 100 groups"),
        (many(90), {"complete": False}, "says that its list is not complete"),
        ([*many(90), {"name": "no id"}], {}, "could not be read"),
    ],
)
async def test_a_suspicious_list_deactivates_nothing_and_is_explained(
    phone: Phone, groups: list[Any], document: dict[str, Any], reason: str
) -> None:
    await phone.synced(many(100))

    result = await phone.synced(groups, **document)

    assert (result.saved_count, result.deactivated) == (100, 0)
    assert result.suspicious is not None
    assert reason in result.suspicious
    assert result.as_json()["complete"] is False
    assert all(saved.membership.is_active for saved in (await phone.saved()).values())


async def test_a_list_at_the_known_cap_of_its_gateway_deactivates_nothing(phone: Phone) -> None:
    await phone.synced(many(100))
    async with phone.runtime.database.writing() as session:
        paired = await session.get_one(WhatsappSession, phone.session_id)
        gateway = await session.get_one(Gateway, paired.gateway_id)
        gateway.capabilities = ["max_groups=80"]

    result = await phone.synced(many(80))

    assert (result.saved_count, result.deactivated) == (100, 0)
    assert "cut its list" in (result.suspicious or "")


async def test_a_suspicious_list_still_adds_what_is_new(phone: Phone) -> None:
    await phone.synced(many(10))

    result = await phone.synced([listed(77)])

    assert (result.saved_count, result.added, result.deactivated) == (11, 1, 0)


async def test_odd_entries_are_taken_as_a_person_would(phone: Phone) -> None:
    entries = [
        listed(1, name=None, participants="12", isAdmin="true"),
        listed(2, name=None, subject="By subject", size=7, isAdmin=1),
        {"jid": listed(3)["id"], "name": "  Two \n lines\u0000 ", "participants": ["a", "b", "c"]},
        {"groupId": listed(4)["id"], "name": 2026, "participantsCount": 3, "isAdmin": "maybe"},
        listed(5, name="A" * 500, participants=-1),
        listed(6, name="Parent", isCommunity=True),
        listed(1, name=None, inviteLink="https://chat.whatsapp.com/AbCdEf123456"),
        "not an object",
        {"id": "919876543210@s.whatsapp.net", "name": "A person"},
    ]

    result = await phone.synced(entries)

    saved = list((await phone.saved()).values())
    assert [(one.group.group_name, one.group.participant_count) for one in saved[:4]] == [
        (None, 12),
        ("By subject", 7),
        ("Two lines", 3),
        ("2026", 3),
    ]
    assert [one.membership.is_admin for one in saved[:4]] == [True, True, False, False]
    assert saved[0].group.invite_link == "https://chat.whatsapp.com/AbCdEf123456"
    assert saved[4].group.group_name == "A" * 199 + "…"
    assert saved[4].group.participant_count is None
    assert saved[5].group.is_community
    assert (result.saved_count, result.vps_count) == (6, 8)
    assert {reason for _, reason in result.skipped} == {
        "community_parent",
        "not_an_object",
        "not_a_group",
    }


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("Łódź – poranny warsztat", "lodz WARSZTAT"),
        ("Straßenfest", "STRASSE"),
        ("İstanbul Atölyesi", "istanbul atolyesi"),
        ("सुबह की कार्यशाला", "कार्यशाला"),
        ("ورشة مُحَمَّد", "محمد"),
        ("שלום עולם", "עולם"),
        ("早安工作坊", "工作坊"),
        ("おはようワークショップ", "ワークショップ"),
        ("좋은 아침", "아침"),
        ("Ｆｕｌｌ　Ｗｉｄｔｈ", "full width"),
        ("👩‍👩‍👧 Mums 🌞", "mums 🌞"),
        ("100% _off_ \\ 'now' \"yes\"", '100% _off_ \\ "yes"'),
        ("Tab\tand\u0000nul\u202e", "tab nul"),
        ("ab", "ab"),
        ("x OR y AND NOT z*", "OR NOT z*"),
    ],
)
async def test_a_name_in_any_script_is_kept_and_found(phone: Phone, name: str, query: str) -> None:
    await phone.synced([listed(1, name=name), listed(2, name="Another one")])

    async with phone.runtime.database.reading() as session:
        page = await list_groups(session, phone.organization_id, GroupFilter(query=query))

    assert [group.jid for group in page.groups] == [listed(1)["id"]]
    assert page.total == 1


async def test_5000_groups_in_one_answer_are_5000_rows(phone: Phone) -> None:
    result = await phone.synced(many(5000))

    assert (result.vps_count, result.saved_count, result.added) == (5000, 5000, 5000)
    again = await phone.synced()
    assert (again.saved_count, again.added, again.updated) == (5000, 0, 5000)


async def test_a_sync_is_journaled_with_its_answer(phone: Phone) -> None:
    await phone.synced(many(27))

    async with phone.runtime.database.reading() as session:
        entry = (
            await session.scalars(
                select(JournalEntry).where(JournalEntry.subject_id == phone.number_id)
            )
        ).one()
    assert (entry.action, entry.data["savedCount"]) == ("groups.synced", 27)


async def test_open_pages_are_told_after_the_commit(phone: Phone) -> None:
    async with hearing(phone.runtime.database) as heard:
        await phone.synced(many(3))
        told = set()
        async for announcement in heard:
            told.add((announcement.topic, announcement.subject_id))
            if ("groups", phone.number_id) in told:
                break

    assert ("numbers", phone.number_id) in told
