"""Reports of members that come and go are applied once, by their own time."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from tests.contract.scripted import ScriptedGateway
from tests.integration.groups.conftest import Phone, connect_phone, listed
from tests.support.clock import NOW, ManualClock

from groupline.groups.membership import apply_membership_event, read_report
from groupline.groups.sync import GroupSync
from groupline.models import JournalEntry, WhatsappNumber, WhatsappSession
from groupline.runtime import Runtime

STRANGER = "+1 202 555 0123"
JID = listed(1)["id"]


async def report(
    phone: Phone, event: str, who: str | None, at: datetime, **data: Any
) -> str | None:
    """As the number's gateway would post it."""
    payload = {"event": event, "groupJid": JID, "phoneNumber": who} | data
    read = read_report(payload, at)
    if read is None:
        return None
    async with phone.runtime.database.writing() as session:
        row = await session.get_one(WhatsappSession, phone.session_id)
        return await apply_membership_event(
            session,
            gateway_id=row.gateway_id,
            gateway_session_id=row.gateway_session_id,
            report=read,
            now=phone.runtime.clock.now(),
        )


async def own_number(phone: Phone) -> str:
    async with phone.runtime.database.reading() as session:
        return (await session.get_one(WhatsappNumber, phone.number_id)).phone_number


async def journaled(phone: Phone) -> list[str]:
    async with phone.runtime.database.reading() as session:
        return list(
            await session.scalars(
                select(JournalEntry.action)
                .where(JournalEntry.action.like("group.%"))
                .order_by(JournalEntry.position)
            )
        )


def later(seconds: int = 10) -> datetime:
    return NOW + timedelta(seconds=seconds)


async def test_a_number_that_left_is_inactive_and_comes_back_under_the_same_id(
    phone: Phone, clock: ManualClock
) -> None:
    await phone.synced([listed(1, participants=5), listed(2)])
    (before, *_) = (await phone.saved()).values()
    clock.advance(60)
    me = await own_number(phone)

    assert await report(phone, "left", me, later(10)) == "applied"
    left = (await phone.saved())[JID]
    assert await report(phone, "joined", f"+{me}", later(20)) == "applied"
    back = (await phone.saved())[JID]

    assert (left.membership.is_active, left.membership.missing_since) == (False, later(10))
    assert left.group.participant_count == 4
    assert (back.membership.id, back.membership.is_active) == (before.membership.id, True)
    assert back.group.participant_count == 5
    assert await journaled(phone) == ["group.left", "group.joined"]


async def test_the_same_change_told_twice_is_applied_once(phone: Phone) -> None:
    await phone.synced([listed(1, participants=5)])
    me = await own_number(phone)

    first = await report(phone, "left", me, later(10))
    again = await report(phone, "left", me, later(10))

    assert (first, again) == ("applied", "repeated")
    assert (await phone.saved())[JID].group.participant_count == 4
    assert await journaled(phone) == ["group.left"]


async def test_two_numbers_that_report_the_same_stranger_count_once(
    phone: Phone, runtime: Runtime, sync: GroupSync, gateway: ScriptedGateway
) -> None:
    other = await connect_phone(runtime, sync, gateway, phone.organization_id)
    await phone.synced([listed(1, participants=5)])
    await other.synced()

    outcomes = [
        await report(phone, "joined", STRANGER, later(10)),
        await report(other, "joined", "12025550123@s.whatsapp.net", later(11)),
        await report(other, "left", STRANGER, later(30)),
        await report(phone, "left", STRANGER, later(30)),
        await report(phone, "joined", STRANGER, later(40)),
    ]

    assert outcomes == ["applied", "repeated", "applied", "repeated", "applied"]
    assert (await phone.saved())[JID].group.participant_count == 6


async def test_what_happened_before_the_last_list_is_already_in_it(
    phone: Phone, clock: ManualClock
) -> None:
    clock.advance(60)
    await phone.synced([listed(1, participants=5)])
    me = await own_number(phone)

    assert await report(phone, "joined", STRANGER, later(10)) == "outdated"
    assert await report(phone, "left", me, later(10)) == "outdated"

    saved = (await phone.saved())[JID]
    assert (saved.group.participant_count, saved.membership.is_active) == (5, True)


async def test_an_outdated_report_that_disagrees_asks_for_a_new_list(
    phone: Phone, clock: ManualClock
) -> None:
    clock.advance(60)
    await phone.synced([listed(1)])

    await report(phone, "left", await own_number(phone), later(10))

    async with phone.runtime.database.reading() as session:
        number = await session.get_one(WhatsappNumber, phone.number_id)
        assert number.groups_sync_due_at == clock.now()


async def test_who_may_write_is_asked_for_when_it_changes(phone: Phone, clock: ManualClock) -> None:
    await phone.synced([listed(1)])
    clock.advance(60)

    assert await report(phone, "settings", await own_number(phone), later(50)) == "applied"

    async with phone.runtime.database.reading() as session:
        number = await session.get_one(WhatsappNumber, phone.number_id)
        assert number.groups_sync_due_at == clock.now()


async def test_settings_that_the_list_already_knows_ask_for_nothing(
    phone: Phone, clock: ManualClock
) -> None:
    clock.advance(60)
    await phone.synced([listed(1)])

    assert await report(phone, "settings", await own_number(phone), later(10)) == "repeated"

    async with phone.runtime.database.reading() as session:
        number = await session.get_one(WhatsappNumber, phone.number_id)
        assert number.groups_sync_due_at != clock.now()


async def test_a_list_older_than_a_report_does_not_undo_it(
    phone: Phone, clock: ManualClock
) -> None:
    await phone.synced([listed(1), listed(2)])
    await report(phone, "left", await own_number(phone), later(90))
    await report(phone, "renamed", None, later(90), groupName="New name")
    clock.advance(60)

    result = await phone.synced([listed(1), listed(2)])

    saved = (await phone.saved())[JID]
    assert not saved.membership.is_active
    assert saved.group.group_name == "New name"
    assert result.saved_count == 1


async def test_a_number_becomes_an_admin_and_stops_being_one(phone: Phone) -> None:
    await phone.synced([listed(1)])
    me = await own_number(phone)

    await report(phone, "promoted", me, later(10))
    promoted = (await phone.saved())[JID].membership.is_admin
    await report(phone, "demote", me, later(20))
    demoted = (await phone.saved())[JID].membership.is_admin

    assert (promoted, demoted) == (True, False)


async def test_a_new_name_is_found_by_search_and_told_once(phone: Phone) -> None:
    await phone.synced([listed(1)])

    outcomes = [
        await report(phone, "renamed", None, later(10), groupName="Ångström \u0007club"),
        await report(phone, "renamed", None, later(10), groupName="Ångström club"),
        await report(phone, "renamed", None, later(5), groupName="An older name"),
    ]

    assert outcomes == ["applied", "repeated", "outdated"]
    group = (await phone.saved())[JID].group
    assert group.group_name == "Ångström club"
    assert group.search_name.startswith("angstrom club")
    assert await journaled(phone) == ["group.renamed"]


async def test_being_added_to_an_unknown_group_makes_it_known_and_asks_for_a_list(
    phone: Phone, clock: ManualClock
) -> None:
    clock.advance(30)

    outcome = await report(
        phone, "joined", await own_number(phone), later(20), groupName="Brand new"
    )

    assert outcome == "applied"
    saved = (await phone.saved())[JID]
    assert (saved.group.group_name, saved.membership.is_active) == ("Brand new", True)
    async with phone.runtime.database.reading() as session:
        number = await session.get_one(WhatsappNumber, phone.number_id)
        assert number.groups_sync_due_at == clock.now()


async def test_a_stranger_in_an_unknown_group_waits(phone: Phone) -> None:
    assert await report(phone, "joined", STRANGER, later(10)) == "unmatched"


async def test_a_report_from_a_session_nobody_knows_waits(phone: Phone) -> None:
    read = read_report({"event": "left", "groupJid": JID, "phoneNumber": STRANGER}, NOW)
    assert read is not None
    async with phone.runtime.database.writing() as session:
        row = await session.get_one(WhatsappSession, phone.session_id)
        outcome = await apply_membership_event(
            session, gateway_id=row.gateway_id, gateway_session_id="wa_x", report=read, now=NOW
        )
    assert outcome == "unmatched"


async def test_words_that_nobody_has_heard_of_are_no_report(phone: Phone) -> None:
    assert await report(phone, "exploded", STRANGER, later(10)) is None
    assert await report(phone, "joined", None, later(10), groupJid="status@broadcast") is None


@pytest.mark.parametrize(
    ("newer", "older"),
    [("joined", "left"), ("demoted", "promoted")],
    ids=["still in", "still no admin"],
)
async def test_what_only_confirmed_is_not_undone_by_something_older(
    phone: Phone, newer: str, older: str
) -> None:
    await phone.synced([listed(1, participants=5)])
    me = await own_number(phone)

    outcomes = [
        await report(phone, newer, me, later(20)),
        await report(phone, older, me, later(10)),
    ]

    saved = (await phone.saved())[JID]
    assert outcomes == ["repeated", "outdated"]
    assert (saved.membership.is_active, saved.membership.is_admin) == (True, False)
    assert saved.group.participant_count == 5


async def test_a_name_that_was_confirmed_is_not_undone_by_an_older_one(phone: Phone) -> None:
    await phone.synced([listed(1, name="The name")])

    outcomes = [
        await report(phone, "renamed", None, later(20), groupName="The name"),
        await report(phone, "renamed", None, later(10), groupName="In between"),
    ]

    assert outcomes == ["repeated", "outdated"]
    assert (await phone.saved())[JID].group.group_name == "The name"


async def test_a_stranger_who_is_in_is_not_counted_out_by_an_older_report(phone: Phone) -> None:
    await phone.synced([listed(1, participants=5)])

    for word, seconds in (("joined", 10), ("joined", 30), ("left", 20)):
        await report(phone, word, STRANGER, later(seconds))

    assert (await phone.saved())[JID].group.participant_count == 6
