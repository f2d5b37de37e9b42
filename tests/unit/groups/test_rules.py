"""What a list of groups proves, and who can send where."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupline.gateways.port import GatewayGroup, GroupListing, ListingHint, SkippedEntry
from groupline.groups import rules
from groupline.groups.rules import (
    GroupFacts,
    KnownGroup,
    MemberChange,
    MembershipFacts,
    Suspicion,
    Unsendable,
    count_change,
    explain,
    judge,
    unsendable,
)

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def listing(*jids: str, **facts: Any) -> GroupListing:
    values: dict[str, Any] = {"complete": None, "reported": len(jids)} | facts
    return GroupListing(groups=tuple(GatewayGroup(jid) for jid in jids), **values)


@pytest.mark.parametrize(
    ("answer", "known", "suspicion"),
    [
        (listing(), [], Suspicion.EMPTY),
        (listing(), ["a"], Suspicion.EMPTY),
        (listing("a"), [], None),
        (listing("a", "b"), ["a", "b"], None),
        (listing("a"), ["a", "b"], None),
        (listing("a"), ["a", "b", "c"], Suspicion.LOST_HALF),
        (listing("x", "y", "z"), ["a"], Suspicion.LOST_HALF),
        (listing("a", complete=False), ["a"], Suspicion.DECLARED_INCOMPLETE),
        (listing("a", complete=True), ["a", "b"], None),
        (listing("a", hints=(ListingHint.AT_CAP,)), ["a", "b"], Suspicion.AT_CAP),
        (
            listing("a", "b", skipped=(SkippedEntry(None, "no_id"),)),
            ["a", "b", "c"],
            Suspicion.UNREADABLE_ENTRIES,
        ),
        (listing("a", skipped=(SkippedEntry(None, "no_id"),)), ["a"], None),
        (listing("a", "b", skipped=(SkippedEntry("x", "not_a_group"),)), ["a", "b", "c"], None),
    ],
)
def test_when_an_absence_proves_nothing(
    answer: GroupListing, known: list[str], suspicion: Suspicion | None
) -> None:
    assert judge(answer, known).suspicion == suspicion


@given(
    known=st.sets(st.integers(0, 200)), listed=st.sets(st.integers(0, 200)), confirmed=st.booleans()
)
def test_never_more_than_half_is_dropped_without_a_person(
    known: set[int], listed: set[int], confirmed: bool
) -> None:
    verdict = judge(listing(*map(str, listed)), [str(one) for one in known])

    if verdict.deactivates(confirmed=confirmed) and not confirmed:
        assert len(verdict.missing) * 2 <= len(known)
    assert verdict.missing == {str(one) for one in known - listed}
    assert (explain(verdict) is None) == (verdict.suspicion is None)


@pytest.mark.parametrize("suspicion", list(Suspicion))
def test_a_cut_list_stays_a_cut_list_whatever_a_person_says(suspicion: Suspicion) -> None:
    verdict = rules.Verdict(suspicion, frozenset({"a"}), 3)

    assert not verdict.deactivates(confirmed=False)
    believed = suspicion in {Suspicion.EMPTY, Suspicion.LOST_HALF}
    assert verdict.deactivates(confirmed=True) is believed


@pytest.mark.parametrize(
    ("missing", "words"),
    [(0, "Nothing was removed."), (1, "1 group that it left out stays"), (7, "7 groups stay")],
)
def test_the_consequence_is_named(missing: int, words: str) -> None:
    jids = frozenset(str(number) for number in range(missing))

    assert words in (explain(rules.Verdict(Suspicion.AT_CAP, jids, 10)) or "")


MEMBER = MembershipFacts(is_active=True, is_admin=False)
ADMIN = MembershipFacts(is_active=True, is_admin=True)
GONE = MembershipFacts(is_active=False, is_admin=True)
OPEN = GroupFacts(is_community=False, is_community_announce=False, announce_only=False)
PARENT = GroupFacts(is_community=True, is_community_announce=False, announce_only=False)
ANNOUNCE = GroupFacts(is_community=False, is_community_announce=True, announce_only=False)
ADMINS_ONLY = GroupFacts(is_community=False, is_community_announce=False, announce_only=True)


@pytest.mark.parametrize(
    ("group", "memberships", "reason"),
    [
        (OPEN, [MEMBER], None),
        (OPEN, [GONE, MEMBER], None),
        (OPEN, [], Unsendable.NOT_A_MEMBER),
        (OPEN, [GONE], Unsendable.NOT_A_MEMBER),
        (PARENT, [ADMIN], Unsendable.COMMUNITY_PARENT),
        (ANNOUNCE, [MEMBER], Unsendable.ADMINS_ONLY),
        (ANNOUNCE, [MEMBER, ADMIN], None),
        (ADMINS_ONLY, [MEMBER], Unsendable.ADMINS_ONLY),
        (ADMINS_ONLY, [MEMBER, GONE], Unsendable.ADMINS_ONLY),
        (ADMINS_ONLY, [ADMIN], None),
    ],
)
def test_who_can_send_where(
    group: GroupFacts, memberships: list[MembershipFacts], reason: Unsendable | None
) -> None:
    assert unsendable(group, memberships) == reason


@pytest.mark.parametrize("reason", list(Unsendable))
def test_every_reason_is_a_sentence(reason: Unsendable) -> None:
    assert rules.sentence(reason).endswith(".")


def test_syncs_are_spread_around_a_day() -> None:
    chance = random.Random(1)

    planned = [rules.next_sync(NOW, chance) - NOW for _ in range(200)]

    assert timedelta(hours=22) <= min(planned) < timedelta(hours=23)
    assert timedelta(hours=25) < max(planned) <= timedelta(hours=26)


def test_failures_are_retried_ever_later_and_never_later_than_six_hours() -> None:
    waits = [rules.retry_sync(NOW, failures) - NOW for failures in (1, 2, 3, 7, 8, 1000)]

    minutes = [wait.total_seconds() / 60 for wait in waits]
    assert minutes == [5, 10, 20, 320, 360, 360]


def test_a_change_counts_once_however_many_report_it() -> None:
    remembered: dict[str, list[str]] = {}
    growths = []
    for change, seconds in [
        (MemberChange.JOINED, 0),
        (MemberChange.JOINED, 1),
        (MemberChange.LEFT, 10),
        (MemberChange.LEFT, 10),
        (MemberChange.JOINED, 5),
        (MemberChange.JOINED, 20),
    ]:
        at = NOW + timedelta(seconds=seconds)
        remembered, growth = count_change(remembered, "someone", change, at)
        growths.append(growth)

    assert growths == [1, 0, -1, 0, 0, 1]


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.integers(0, 500)), max_size=60))
def test_the_count_never_grows_by_more_than_there_are_people(
    events: list[tuple[int, bool, int]],
) -> None:
    remembered: dict[str, list[str]] = {}
    total = 0
    for person, joined, seconds in events:
        change = MemberChange.JOINED if joined else MemberChange.LEFT
        at = NOW + timedelta(seconds=seconds)
        remembered, growth = count_change(remembered, str(person), change, at)
        total += growth

    people = {person for person, _, _ in events}
    assert -len(people) <= total <= len(people)
    assert set(remembered) == {str(person) for person in people}


def test_only_the_newest_changes_are_remembered() -> None:
    remembered: dict[str, list[str]] = {}
    for number in range(rules.MAX_REMEMBERED_CHANGES + 50):
        at = NOW + timedelta(seconds=number)
        remembered, _ = count_change(remembered, str(number), MemberChange.JOINED, at)

    assert len(remembered) == rules.MAX_REMEMBERED_CHANGES
    assert "0" not in remembered
    assert str(rules.MAX_REMEMBERED_CHANGES + 49) in remembered


def known(**facts: Any) -> KnownGroup:
    values: dict[str, Any] = {
        "group_id": UUID(int=2),
        "membership_id": UUID(int=1),
        "name": "Known",
        "participant_count": 5,
        "is_community": False,
        "is_community_announce": False,
        "announce_only": False,
        "invite_link": "https://chat.whatsapp.com/AbCdEf123456",
        "is_admin": True,
        "is_active": True,
    }
    return KnownGroup(**values | facts)


def planned(said: GatewayGroup, **facts: Any) -> rules.Plan:
    listed = GroupListing(groups=(said,), complete=None, reported=1)
    return rules.plan(listed, {"a": known(**facts)})


def test_what_says_nothing_new_is_not_written() -> None:
    same = GatewayGroup("a", name="Known", participant_count=5, is_admin=True, announce_only=False)

    assert planned(GatewayGroup("a")) == rules.Plan((), (), (), ())
    assert planned(same) == rules.Plan((), (), (), ())


@pytest.mark.parametrize(
    "news",
    [
        {"name": "Renamed"},
        {"invite_link": "https://chat.whatsapp.com/other"},
        {"announce_only": True},
        {"is_community": True},
        {"is_community_announce": True},
    ],
)
def test_what_is_different_about_a_group_is_written(news: dict[str, Any]) -> None:
    said = GatewayGroup("a", **news)

    plan = planned(said)

    assert plan == rules.Plan((), (), ((said, "name" in news),), ())


def test_a_count_alone_is_written_alone() -> None:
    plan = planned(GatewayGroup("a", name="Known", participant_count=6))
    both = GatewayGroup("a", name="Renamed", participant_count=6)

    assert plan == rules.Plan((), ((UUID(int=2), 6),), (), ())
    assert planned(both) == rules.Plan((), (), ((both, True),), ())


@pytest.mark.parametrize(
    ("said", "facts", "moved"),
    [
        (None, {"is_active": False}, True),
        (True, {}, False),
        (False, {}, True),
        (None, {}, False),
        (True, {"is_admin": False}, True),
    ],
)
def test_a_membership_is_written_when_it_came_back_or_changed_its_role(
    said: bool | None, facts: dict[str, Any], moved: bool
) -> None:
    plan = planned(GatewayGroup("a", is_admin=said), **facts)

    assert plan.moved == (((UUID(int=1), said),) if moved else ())


def test_a_group_that_is_not_known_is_new() -> None:
    group = GatewayGroup("b")

    assert planned(group).new == (group,)
