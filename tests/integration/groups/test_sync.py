"""A sync of groups says what it saved, and saves what the gateway said."""

from datetime import timedelta

from sqlalchemy import func, select
from tests.integration.groups.conftest import Phone, listed, many
from tests.support.clock import ManualClock

from groupline.models import WhatsappGroup


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
