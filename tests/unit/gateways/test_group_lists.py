"""Group lists: every shape of the contract, and junk."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from tests.unit.gateways.junk import JSON

from groupline.gateways.drivers import groupline_groups as wire
from groupline.gateways.port import (
    GatewayGroup,
    GroupListing,
    Invite,
    ListingHint,
    Participant,
    SkippedEntry,
)

JID = "120363041234567890@g.us"
OLD_JID = "919876543210-1512345678@g.us"


def listed(value: object, own_phone: str | None = None) -> GroupListing:
    listing = wire.group_listing(value, max_groups=None, own_phone=own_phone)
    assert listing is not None
    return listing


def one(entry: Mapping[str, object], own_phone: str | None = None) -> GatewayGroup:
    [group] = listed([entry], own_phone).groups
    return group


@pytest.mark.parametrize("key", ["id", "jid", "groupId"])
def test_the_id_of_a_group_has_three_names(key: str) -> None:
    assert one({key: JID}).jid == JID


def test_an_object_and_a_bare_list_are_the_same() -> None:
    entries = [{"id": JID, "name": "A"}, {"id": OLD_JID, "name": "B"}]
    assert listed({"groups": entries}) == listed(entries)


@pytest.mark.parametrize("key", ["name", "subject"])
def test_the_name_of_a_group_has_two_names(key: str) -> None:
    assert one({"id": JID, key: "Morning batch"}).name == "Morning batch"


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("  Morning \t batch\n", "Morning batch"),
        ("A\x00B\x1b[31m", "AB[31m"),
        ("\u202eegnahc", "egnahc"),
        ("ध्यान कक्षा", "ध्यान कक्षा"),
        ("مجموعة", "مجموعة"),
        ("👩‍👩‍👧 family", "👩‍👩‍👧 family"),
        ("broken \ud83d surrogate", "broken surrogate"),
        (108, "108"),
        ("", None),
        (" \x00 ", None),
        (None, None),
        (["A"], None),
    ],
)
def test_a_name_is_one_clean_line(sent: object, name: str | None) -> None:
    assert one({"id": JID, "name": sent}).name == name


def test_a_name_without_end_is_cut() -> None:
    name = one({"id": JID, "name": "x" * 100_000}).name
    assert name is not None
    assert len(name) == 200


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"participants": 27}, 27),
        ({"participants": "27"}, 27),
        ({"participants": [{"id": "1@lid"}, {"id": "2@lid"}]}, 2),
        ({"participants": [], "size": 27}, 27),
        ({"participants": [{"id": "1@lid"}], "participantsCount": 27}, 27),
        ({"size": 27.0}, 27),
        ({"participants": []}, None),
        ({"participants": -1}, None),
        ({"participants": True}, None),
        ({}, None),
    ],
)
def test_the_count_of_participants(facts: dict[str, object], expected: int | None) -> None:
    assert one({"id": JID, **facts}).participant_count == expected


@pytest.mark.parametrize(
    ("sent", "is_admin"),
    [
        (True, True),
        ("true", True),
        (1, True),
        ("1", True),
        (False, False),
        ("false", False),
        (0, False),
        (None, None),
        ("maybe", None),
        (7, None),
    ],
)
def test_whether_the_number_is_admin(sent: object, is_admin: bool | None) -> None:
    assert one({"id": JID, "isAdmin": sent}).is_admin is is_admin


@pytest.mark.parametrize(
    ("participant", "is_admin"),
    [
        ({"id": "919876543210@s.whatsapp.net", "admin": "admin"}, True),
        ({"id": "919876543210:4@s.whatsapp.net", "admin": "superadmin"}, True),
        ({"id": "99@lid", "phone": "+919876543210", "admin": "admin"}, True),
        ({"id": "919876543210@s.whatsapp.net", "admin": None}, False),
        ({"id": "99@lid", "admin": "admin"}, None),
        ({"id": "919000000000@s.whatsapp.net", "admin": "admin"}, None),
    ],
)
def test_admin_rights_are_found_among_the_participants(
    participant: dict[str, object], is_admin: bool | None
) -> None:
    entry = {"id": JID, "participants": [participant]}
    assert one(entry, own_phone="919876543210").is_admin is is_admin


def test_some_gateways_call_the_own_number_me() -> None:
    participants = [{"id": "1@lid", "admin": None}, {"id": "me", "admin": "admin"}]
    assert one({"id": JID, "participants": participants}).is_admin is True


def test_what_the_list_does_not_say_is_none() -> None:
    assert one({"id": JID}) == GatewayGroup(jid=JID)


def test_communities_and_announcement_groups() -> None:
    group = one({"id": JID, "isCommunity": "true", "isCommunityAnnounce": 0, "announceOnly": True})
    assert (group.is_community, group.is_community_announce, group.announce_only) == (
        True,
        False,
        True,
    )


@pytest.mark.parametrize(
    ("facts", "link"),
    [
        ({"inviteLink": "https://chat.whatsapp.com/AbCdEf123"}, "AbCdEf123"),
        ({"invite_link": "chat.whatsapp.com/AbCdEf123?mode=r"}, "AbCdEf123"),
        ({"inviteLink": "https://chat.whatsapp.com/invite/AbCdEf123"}, "AbCdEf123"),
        ({"inviteCode": "AbCdEf123"}, "AbCdEf123"),
        ({"inviteLink": None, "inviteCode": "AbCdEf123"}, "AbCdEf123"),
        ({"inviteLink": "javascript:alert(1)"}, None),
        ({"inviteLink": "https://evil.example/AbCdEf123"}, None),
        ({"inviteLink": ""}, None),
        ({}, None),
    ],
)
def test_an_invite_link_has_one_form(facts: dict[str, object], link: str | None) -> None:
    expected = None if link is None else f"https://chat.whatsapp.com/{link}"
    assert one({"id": JID, **facts}).invite_link == expected


def test_bad_entries_are_skipped_with_their_reason() -> None:
    listing = listed([{"id": JID}, 7, None, {}, {"id": "1@newsletter"}, {"id": "a b@g.us"}])
    assert [group.jid for group in listing.groups] == [JID]
    assert listing.skipped == (
        SkippedEntry(None, "not_an_object"),
        SkippedEntry(None, "not_an_object"),
        SkippedEntry(None, "no_id"),
        SkippedEntry("1@newsletter", "not_a_group"),
        SkippedEntry(None, "no_id"),
    )
    assert listing.reported == 6
    assert listing.hints == (ListingHint.ENTRIES_SKIPPED,)


def test_repetitions_are_merged_and_null_never_overwrites() -> None:
    listing = listed(
        [
            {"id": JID, "name": "Old", "participants": 3, "inviteCode": "AbCdEf"},
            {"id": OLD_JID},
            {"id": JID, "subject": "New", "isAdmin": True},
        ]
    )
    assert listing.groups == (
        GatewayGroup(
            jid=JID,
            name="New",
            participant_count=3,
            is_admin=True,
            invite_link="https://chat.whatsapp.com/AbCdEf",
        ),
        GatewayGroup(jid=OLD_JID),
    )
    assert listing.reported == 3


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"groups": None},
        {"groups": {}},
        {"groups": "none"},
        {"success": True},
        7,
        "[]",
    ],
)
def test_what_contains_no_list_is_not_an_empty_list(value: object) -> None:
    assert wire.group_listing(value, max_groups=None) is None


@pytest.mark.parametrize(
    ("value", "cap", "hints"),
    [
        ([], None, (ListingHint.EMPTY,)),
        ({"groups": [{"id": JID}], "complete": True}, None, ()),
        ({"groups": [{"id": JID}], "complete": False}, None, (ListingHint.DECLARED_INCOMPLETE,)),
        ([{"id": JID}], 1, (ListingHint.AT_CAP,)),
        ([{"id": JID}], 2, ()),
    ],
)
def test_reasons_not_to_conclude_from_an_absence(
    value: object, cap: int | None, hints: tuple[ListingHint, ...]
) -> None:
    listing = wire.group_listing(value, max_groups=cap)
    assert listing is not None
    assert listing.hints == hints


def test_five_thousand_groups_in_one_answer() -> None:
    entries = [{"id": f"12036304{n:010d}@g.us", "name": f"Group {n}"} for n in range(5_000)]
    assert len(listed(entries).groups) == 5_000


def test_participants_with_phones_and_lids() -> None:
    listing = wire.participant_listing(
        {
            "participants": [
                {"id": "919876543210@s.whatsapp.net", "isAdmin": True, "isSuperAdmin": True},
                {"id": "184512345678901@lid", "phone": "+919876500000"},
                {"id": "184512345678902@lid", "admin": "admin"},
                "919811111111@c.us",
                {"id": None},
                {"id": "184512345678902@lid"},
            ],
            "groupName": "Morning batch",
            "totalParticipants": 40,
        }
    )
    assert listing is not None
    assert listing.participants == (
        Participant("919876543210@s.whatsapp.net", "919876543210", True, True),
        Participant("184512345678901@lid", "919876500000", False, False),
        Participant("184512345678902@lid", None, True, False),
        Participant("919811111111@c.us", "919811111111", False, False),
    )
    assert (listing.group_name, listing.total) == ("Morning batch", 40)
    assert listing.skipped == (SkippedEntry(None, "no_id"),)


def test_the_total_is_counted_where_the_gateway_does_not_say_it() -> None:
    listing = wire.participant_listing([{"id": "1@lid"}, {"id": "2@lid"}])
    assert listing is not None
    assert listing.total == 2


def test_an_invite_from_code_or_link() -> None:
    expected = Invite(link="https://chat.whatsapp.com/AbCdEf", code="AbCdEf")
    assert wire.invite({"inviteCode": "AbCdEf"}) == expected
    assert wire.invite({"inviteLink": "https://chat.whatsapp.com/AbCdEf"}) == expected
    assert wire.invite({"error": "not admin"}) is None


@given(JSON)
def test_no_list_breaks_the_driver(value: object) -> None:
    for shape in (value, [value], {"groups": value}, {"groups": [value]}):
        wire.group_listing(shape, max_groups=3, own_phone="919876543210")
    for shape in (value, [value], {"participants": value}):
        wire.participant_listing(shape)


@given(JSON)
def test_every_listed_group_can_be_stored(value: object) -> None:
    entry = value if isinstance(value, dict) else {"name": value}
    listing = listed([{**entry, "id": JID, "jid": JID}])
    for group in listing.groups:
        assert wire.is_group_jid(group.jid)
        if group.name is not None:
            assert 0 < len(group.name.encode("utf-8")) <= 800
            assert "\x00" not in group.name
