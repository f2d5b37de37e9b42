"""The states of a campaign, as tables and as what its messages say."""

from datetime import timedelta
from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.clock import NOW

from groupline.campaigns.rules import (
    TRANSITIONS,
    CampaignAction,
    Counts,
    Finished,
    Load,
    Reopened,
    Revised,
    allowed,
    check,
    end_of,
    left_over,
    per_minute,
    settled,
    too_late,
    useful,
)
from groupline.errors import Conflict
from groupline.messages.rules import FINAL
from groupline.models import CampaignStatus, MessageStatus

STATUSES: tuple[CampaignStatus, ...] = get_args(CampaignStatus)
ACTIONS: tuple[CampaignAction, ...] = get_args(CampaignAction)
few = st.integers(min_value=0, max_value=3)
any_counts = st.builds(
    Counts,
    **dict.fromkeys(get_args(MessageStatus), few),
)

LEADS_TO: dict[CampaignAction, frozenset[CampaignStatus]] = {
    "start": frozenset({"scheduled", "sending"}),
    "pause": frozenset({"paused"}),
    "resume": frozenset({"sending"}),
    "cancel": frozenset({"cancelled"}),
}


def test_the_diagram_knows_every_state() -> None:
    assert set(TRANSITIONS) == set(STATUSES)
    assert all(step in STATUSES for steps in TRANSITIONS.values() for step in steps)


def test_counts_know_every_state_of_a_message_and_which_are_final() -> None:
    assert set(Counts().as_dict()) == set(get_args(MessageStatus))
    for status in get_args(MessageStatus):
        counts = Counts(**{status: 2})
        assert counts.total == 2
        assert counts.open == (0 if status in FINAL else 2), status


@pytest.mark.parametrize(("status", "action"), list(product(STATUSES, LEADS_TO)))
def test_what_is_allowed_leads_along_the_diagram(
    status: CampaignStatus, action: CampaignAction
) -> None:
    if action in allowed(status):
        assert TRANSITIONS[status] & LEADS_TO[action]


def test_what_can_be_done_when() -> None:
    table = {status: set(allowed(status)) - {"duplicate"} for status in STATUSES}
    assert table == {
        "draft": {"edit", "start", "delete"},
        "scheduled": {"edit", "start", "cancel"},
        "sending": {"pause", "cancel", "retry_failed", "verify", "mark_arrived"},
        "paused": {"resume", "cancel", "retry_failed", "verify", "mark_arrived"},
        "completed": set(),
        "partial_failure": {"retry_failed"},
        "failed": {"retry_failed"},
        "cancelled": {"verify", "mark_arrived"},
    }
    assert all("duplicate" in allowed(status) for status in STATUSES)


@pytest.mark.parametrize(("status", "action"), list(product(STATUSES, ACTIONS)))
def test_what_is_not_allowed_is_a_conflict_that_names_the_state_and_the_way_on(
    status: CampaignStatus, action: CampaignAction
) -> None:
    if action in allowed(status):
        check(action, status)
        return
    with pytest.raises(Conflict) as refused:
        check(action, status)
    assert refused.value.extra["state"] == status
    assert "duplicate" in refused.value.extra["actions"]


@pytest.mark.parametrize(
    ("counts", "about_messages"),
    [
        (Counts(pending=2, sending=1, sent=1, cancelled=1), set()),
        (Counts(failed=1), {"retry_failed"}),
        (Counts(expired=1), {"retry_failed"}),
        (Counts(accepted=1), {"verify"}),
        (Counts(uncertain=1), {"verify", "mark_arrived"}),
    ],
)
def test_only_what_would_do_something_is_offered(
    counts: Counts, about_messages: set[CampaignAction]
) -> None:
    assert useful("sending", counts) == {"pause", "cancel", "duplicate"} | about_messages
    assert all(useful(status, counts) <= allowed(status) for status in STATUSES)


# --- what the messages say


@pytest.mark.parametrize(
    ("counts", "end"),
    [
        (Counts(sent=3), "completed"),
        (Counts(sent=3, cancelled=2), "completed"),
        (Counts(sent=3, failed=1), "partial_failure"),
        (Counts(sent=3, expired=1), "partial_failure"),
        (Counts(failed=1), "failed"),
        (Counts(expired=1, cancelled=1), "failed"),
        (Counts(cancelled=4), "cancelled"),
    ],
)
def test_the_end_is_what_the_messages_amount_to(counts: Counts, end: str) -> None:
    assert end_of(counts) == end


@pytest.mark.parametrize("status", ["scheduled", "sending", "paused", "cancelled"])
@pytest.mark.parametrize("open_status", ["pending", "sending", "accepted", "uncertain"])
def test_a_campaign_does_not_end_while_a_message_is_not_final(
    status: CampaignStatus, open_status: str
) -> None:
    counts = Counts(sent=100, **{open_status: 1})
    assert settled(status, counts, has_ended=False) is None


@given(st.sampled_from(STATUSES), any_counts, st.booleans())
def test_settling_follows_the_diagram_and_is_done_after_one_step(
    status: CampaignStatus, counts: Counts, has_ended: bool
) -> None:
    found = settled(status, counts, has_ended=has_ended)
    if found is None:
        return
    assert isinstance(found, Reopened) == (counts.open > 0)
    assert isinstance(found, Finished | Reopened | Revised)
    after = found.status
    assert after == status or after in TRANSITIONS[status] or status == "scheduled"
    assert settled(after, counts, has_ended=counts.open == 0) is None, "news only once"


def test_a_draft_is_never_settled_and_a_cancelled_one_never_comes_back() -> None:
    assert settled("draft", Counts(), has_ended=False) is None
    assert settled("cancelled", Counts(sent=1, pending=1), has_ended=True) is None
    assert settled("cancelled", Counts(sent=1), has_ended=False) == Finished("cancelled")


# --- how long it takes


def test_the_slower_of_pace_and_delay_wins() -> None:
    slow_number = Load(100, pace_seconds=2.0, delay_seconds=1.0)
    slow_campaign = Load(100, pace_seconds=1.0, delay_seconds=2.0)
    assert slow_number.duration == slow_campaign.duration == timedelta(seconds=210)


def test_three_thousand_groups_at_a_second_take_about_fifty_minutes() -> None:
    minutes = Load(3_000, 1.0, 1.0).duration / timedelta(minutes=1)
    assert 50 <= minutes <= 53


def test_other_messages_fit_between_those_of_a_slow_campaign() -> None:
    assert Load(10, 1.0, 10.0, others=50).duration == Load(10, 1.0, 10.0).duration
    assert Load(10, 1.0, 1.0, others=10).duration == 2 * Load(10, 1.0, 1.0).duration


def test_without_pauses_a_message_still_takes_time() -> None:
    assert Load(10, 0.0, 0.0).duration == timedelta(seconds=2)


def test_what_would_expire_before_its_turn_is_counted() -> None:
    load = Load(100, 1.0, 0.0)
    assert too_late(load, begin=NOW, expires_at=NOW + load.duration) == 0
    assert too_late(load, begin=NOW, expires_at=NOW + load.duration / 2) == 49
    assert too_late(load, begin=NOW, expires_at=NOW) == 100
    assert too_late(load, begin=NOW, expires_at=None) == 0
    assert too_late(Load(0, 1.0, 1.0), begin=NOW, expires_at=NOW) == 0


def test_the_rate_is_of_the_last_minutes_or_since_the_start() -> None:
    assert per_minute(300, since=NOW - timedelta(hours=1), now=NOW) == 60.0
    assert per_minute(60, since=NOW - timedelta(minutes=1), now=NOW) == 60.0
    assert per_minute(10, since=None, now=NOW) == 2.0
    assert per_minute(1, since=NOW, now=NOW) == 6.0, "never a division by nothing"


def test_what_waits_before_the_beginning_is_gone_by_then_if_there_is_time() -> None:
    assert left_over(100, pace_seconds=1.0, until=timedelta(0)) == 100
    assert left_over(100, pace_seconds=1.0, until=timedelta(seconds=21)) == 80
    assert left_over(100, pace_seconds=1.0, until=timedelta(hours=1)) == 0
