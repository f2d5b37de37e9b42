"""The state machine, step by step."""

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.clock import NOW

from groupline.errors import Conflict
from groupline.gateways.outcomes import (
    Accepted,
    Found,
    LookupAnswer,
    LookupUnknown,
    NotFound,
    NotSentReason,
    SendOutcome,
    Sent,
    Uncertain,
    UncertainReason,
    not_sent,
)
from groupline.messages import rules, words
from groupline.messages.refusals import Refusal
from groupline.messages.rules import FINAL, IN_FLIGHT, TRANSITIONS, Change, Facts, Later, Policy
from groupline.models import MessageStatus

POLICY = Policy()
SENDING = Facts("sending", started_at=NOW, can_look_up=True)
BLIND = replace(SENDING, can_look_up=False)
STATUSES: tuple[MessageStatus, ...] = get_args(MessageStatus)

outcomes: st.SearchStrategy[SendOutcome] = st.one_of(
    st.just(Sent("3EB0")),
    st.just(Accepted()),
    st.just(Accepted("3EB0")),
    st.builds(not_sent, st.sampled_from(NotSentReason), st.just("words")),
    st.builds(Uncertain, st.sampled_from(UncertainReason), st.none(), st.just("words")),
)
answers: st.SearchStrategy[LookupAnswer] = st.one_of(
    st.builds(Found, st.sampled_from(["3EB0", "3EB1"]), by_client_ref=st.booleans()),
    st.builds(NotFound, st.sampled_from([None, "rejected"])),
    st.just(LookupUnknown("words")),
)
facts_of_any = st.builds(
    Facts,
    st.sampled_from(STATUSES),
    attempts=st.integers(0, 3),
    expires_at=st.sampled_from([None, NOW - timedelta(hours=1), NOW + timedelta(hours=1)]),
    started_at=st.sampled_from([None, NOW, NOW - timedelta(hours=1), NOW - timedelta(days=4)]),
    message_id=st.sampled_from([None, "3EB0"]),
    can_look_up=st.booleans(),
    was_rejected=st.booleans(),
    was_received=st.booleans(),
)


def after(facts: Facts, outcome: SendOutcome) -> Change:
    return rules.after_send(facts, outcome, now=NOW, roll=0.5, policy=POLICY)


def look(facts: Facts, answer: LookupAnswer) -> Change | Later:
    return rules.after_look(facts, answer, now=NOW, roll=0.5, policy=POLICY)


# --- the answer to a request


def test_sent_needs_the_id_and_carries_it() -> None:
    change = after(SENDING, Sent("3EB0"))
    assert (change.status, change.message_id) == ("sent", "3EB0")


def test_accepted_is_no_evidence_and_is_looked_after() -> None:
    change = after(SENDING, Accepted())
    assert change.status == "accepted"
    assert change.next_check_at == NOW + POLICY.first_look


def test_an_accepted_message_of_a_gateway_that_forgets_waits_for_its_callback() -> None:
    assert after(BLIND, Accepted()).next_check_at == NOW + POLICY.callback_within


@pytest.mark.parametrize("reason", UncertainReason)
def test_no_answer_is_uncertain_whatever_the_reason(reason: UncertainReason) -> None:
    change = after(SENDING, Uncertain(reason, 500, "<html>"))
    assert change.status == "uncertain"
    assert change.next_attempt_at is None
    assert change.trouble is not None
    assert change.trouble.upstream == "HTTP 500: <html>"


@pytest.mark.parametrize("outcome", [Accepted(), Uncertain(UncertainReason.NO_ANSWER, None, "")])
def test_a_callback_that_overtook_the_answer_decides(outcome: SendOutcome) -> None:
    change = after(replace(SENDING, message_id="3EB0"), outcome)
    assert (change.status, change.message_id) == ("sent", "3EB0")


WAITING = [
    NotSentReason.UNREACHABLE,
    NotSentReason.TIMEOUT_BEFORE_WRITE,
    NotSentReason.POOL_EXHAUSTED,
    NotSentReason.NOT_CONNECTED,
    NotSentReason.UNAUTHORIZED,
    NotSentReason.RATE_LIMITED,
    NotSentReason.RESTRICTED,
    NotSentReason.ROUTE_MISSING,
]


@pytest.mark.parametrize("reason", WAITING)
def test_waiting_burns_no_attempt_and_holds_the_lane(reason: NotSentReason) -> None:
    change = after(replace(SENDING, attempts=2), not_sent(reason, "words"))
    assert (change.status, change.attempts) == ("pending", 2)
    assert change.hold is not None
    assert change.hold.until > NOW


def test_the_gateways_own_pause_is_kept_within_reason() -> None:
    pause = after(SENDING, not_sent(NotSentReason.RATE_LIMITED, "", retry_after=90.0)).hold
    assert pause is not None
    assert pause.until == NOW + timedelta(seconds=90)
    long = after(SENDING, not_sent(NotSentReason.RATE_LIMITED, "", retry_after=1e9)).hold
    assert long is not None
    assert long.until == NOW + POLICY.longest_wait


def test_a_rejection_is_tried_three_times_ever_later() -> None:
    rejected = not_sent(NotSentReason.REJECTED, "no")
    first = after(SENDING, rejected)
    second = after(replace(SENDING, attempts=1), rejected)
    third = after(replace(SENDING, attempts=2), rejected)
    assert [first.status, second.status, third.status] == ["pending", "pending", "failed"]
    assert [first.attempts, second.attempts, third.attempts] == [1, 2, 3]
    assert first.next_attempt_at is not None
    assert second.next_attempt_at is not None
    assert second.next_attempt_at - NOW == 3 * (first.next_attempt_at - NOW)


@pytest.mark.parametrize(
    "reason",
    [NotSentReason.NOT_IN_GROUP, NotSentReason.NOT_ALLOWED, NotSentReason.BAD_REQUEST],
)
def test_what_cannot_become_better_fails_at_once(reason: NotSentReason) -> None:
    assert after(SENDING, not_sent(reason, "no")).status == "failed"


# --- no answer


def test_an_ended_lease_is_uncertain_and_the_answer_may_still_come() -> None:
    change = rules.after_lease(SENDING, now=NOW, policy=POLICY)
    assert (change.status, change.keeps_claim) == ("uncertain", True)
    assert change.trouble is not None  # whether the worker lives is not known: it may be cut off
    assert change.trouble.sentence == (
        "The request was started, but Groupline could not record what came of it."
    )


def test_an_ended_lease_whose_request_was_never_started_is_pending() -> None:
    facts = replace(SENDING, started_at=None)
    assert rules.after_lease(facts, now=NOW, policy=POLICY).status == "pending"


def test_an_ended_lease_with_evidence_is_sent() -> None:
    facts = replace(SENDING, message_id="3EB0")
    assert rules.after_lease(facts, now=NOW, policy=POLICY).status == "sent"


# --- looking


UNCERTAIN = Facts("uncertain", started_at=NOW - POLICY.unsent_after, can_look_up=True)
YOUNG = replace(UNCERTAIN, started_at=NOW - timedelta(seconds=59))


def test_found_by_our_reference_is_sent() -> None:
    change = look(UNCERTAIN, Found("3EB0", by_client_ref=True))
    assert isinstance(change, Change)
    assert change.status == "sent"


def test_the_last_message_of_a_group_is_no_evidence_unless_it_is_ours_by_id() -> None:
    blind = replace(UNCERTAIN, can_look_up=False)
    assert isinstance(look(blind, Found("3EB0")), Later)
    change = look(replace(blind, message_id="3EB0"), Found("3EB0"))
    assert isinstance(change, Change)
    assert change.status == "sent"


def test_a_definite_no_sends_again_if_there_is_time_and_burns_no_attempt() -> None:
    change = look(replace(UNCERTAIN, expires_at=NOW + timedelta(hours=1)), NotFound())
    assert isinstance(change, Change)
    assert (change.status, change.attempts) == ("pending", 0)
    late = look(replace(UNCERTAIN, expires_at=NOW + timedelta(seconds=1)), NotFound())
    assert isinstance(late, Change)
    assert late.status == "failed"


@pytest.mark.parametrize("status", ["uncertain", "accepted"])
@pytest.mark.parametrize("answer", [NotFound(), NotFound("group is full")])
def test_a_no_proves_nothing_while_the_request_may_still_arrive(
    status: MessageStatus, answer: NotFound
) -> None:
    patient = replace(POLICY, callback_within=timedelta(seconds=1))
    young = replace(YOUNG, status=status)
    found = rules.after_look(young, answer, now=NOW, roll=0.5, policy=patient)
    assert not isinstance(found, Change) or found.status == "uncertain"
    assert isinstance(look(YOUNG, Found("3EB0", by_client_ref=True)), Change)


def test_the_first_no_that_counts_is_asked_for_on_time() -> None:
    half = replace(UNCERTAIN, started_at=NOW - timedelta(seconds=58))
    assert look(half, NotFound()) == Later(NOW + timedelta(seconds=2))


def test_a_no_with_a_reason_is_a_rejection() -> None:
    change = look(UNCERTAIN, NotFound("group is full"))
    assert isinstance(change, Change)
    assert (change.status, change.attempts) == ("pending", 1)


def test_an_accepted_message_is_not_given_up_while_its_callback_may_come() -> None:
    young = replace(UNCERTAIN, status="accepted")
    assert isinstance(look(young, NotFound()), Later)
    assert isinstance(look(young, LookupUnknown("")), Later)
    old = replace(young, started_at=NOW - POLICY.callback_within)
    change = look(old, LookupUnknown(""))
    assert isinstance(change, Change)
    assert change.status == "uncertain"


def test_looks_become_rarer_and_end() -> None:
    moments = [
        rules.next_look(replace(UNCERTAIN, started_at=NOW - age), NOW, POLICY)
        for age in (timedelta(seconds=1), timedelta(minutes=4), timedelta(days=2))
    ]
    assert moments == [
        NOW + timedelta(seconds=1),
        NOW + timedelta(minutes=1),
        NOW + timedelta(minutes=10),
    ]
    old = replace(UNCERTAIN, started_at=NOW - timedelta(days=4))
    assert rules.next_look(old, NOW, POLICY) is None


def test_a_gateway_that_forgets_is_not_asked_about_an_uncertain_message() -> None:
    assert rules.next_look(replace(UNCERTAIN, can_look_up=False), NOW, POLICY) is None


# --- what is reported


def test_what_whatsapp_rejected_needs_a_receipt_to_be_sent() -> None:
    rejected = Facts("failed", message_id="3EB0", was_rejected=True)
    assert rules.after_evidence(rejected, "3EB0") is None
    for change in (
        rules.after_evidence(rejected, "3EB0", received=True),
        rules.after_evidence(rejected, "3EB1"),
        rules.after_evidence(replace(rejected, was_rejected=False), "3EB0"),
    ):
        assert change is not None
        assert change.status == "sent"


def test_what_somebody_received_cannot_be_rejected_any_more() -> None:
    facts = Facts("sent", message_id="3EB0")
    change = rules.after_rejection(facts, 420, "slow", now=NOW, policy=POLICY)
    assert change is not None
    assert (change.status, change.message_id) == ("failed", "3EB0")
    received = replace(facts, was_received=True)
    assert rules.after_rejection(received, 420, "slow", now=NOW, policy=POLICY) is None


@pytest.mark.parametrize("status", STATUSES)
def test_what_has_not_left_gives_way_to_its_predecessor(status: MessageStatus) -> None:
    change = rules.superseded(Facts(status))
    assert (change is not None) == (status in ("pending", "failed"))
    assert change is None or change.status == "cancelled"


# --- people


@pytest.mark.parametrize("status", STATUSES)
def test_who_may_cancel(status: MessageStatus) -> None:
    facts = Facts(status)
    if status in ("pending", "failed"):
        assert rules.cancelled(facts).status == "cancelled"
    else:
        with pytest.raises(Conflict) as refused:
            rules.cancelled(facts)
        assert refused.value.extra["state"] == status


@pytest.mark.parametrize("status", STATUSES)
def test_who_may_send_again(status: MessageStatus) -> None:
    facts = Facts(status, attempts=3)
    if status in ("failed", "expired"):
        again = rules.sent_again(facts)
        assert (again.status, again.attempts) == ("pending", 0)
    else:
        with pytest.raises(Conflict) as refused:
            rules.sent_again(facts)
        no_words_of_people = {"pending", "sending", "accepted"}
        assert no_words_of_people.isdisjoint(refused.value.detail.split())


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("arrived", [True, False])
def test_only_an_uncertain_message_takes_a_persons_word(
    status: MessageStatus, arrived: bool
) -> None:
    facts = Facts(status)
    if status == "uncertain":
        change = rules.resolved(facts, arrived=arrived)
        assert change.status == ("sent" if arrived else "pending")
    else:
        with pytest.raises(Conflict):
            rules.resolved(facts, arrived=arrived)


# --- the diagram as a whole


def steps(facts: Facts, outcome: SendOutcome, answer: LookupAnswer) -> list[Change]:
    """All that can become of a message in its state."""
    found: list[Change | Later | None] = [
        rules.after_evidence(facts, "3EB9"),
        rules.after_evidence(facts, "3EB0", received=True),
        rules.superseded(facts),
        rules.after_failed_callback(facts, "no", now=NOW, roll=0.5, policy=POLICY),
        rules.after_rejection(facts, 420, "slow", now=NOW, policy=POLICY),
    ]
    if facts.status == "sending":
        found += [
            after(facts, outcome),
            rules.after_lease(facts, now=NOW, policy=POLICY),
            rules.withheld(facts, now=NOW, policy=POLICY),
            rules.refused(facts, Refusal("no_content", "It is empty.")),
        ]
    if facts.status in ("accepted", "uncertain"):
        found.append(look(facts, answer))
    if facts.status == "pending":
        found.append(rules.after_deadline(facts, waited_for=None))
    return [step for step in found if isinstance(step, Change)]


@given(facts_of_any, outcomes, answers)
def test_every_step_is_in_the_diagram(
    facts: Facts, outcome: SendOutcome, answer: LookupAnswer
) -> None:
    for step in steps(facts, outcome, answer):
        assert step.status in TRANSITIONS[facts.status]


@given(facts_of_any, outcomes, answers)
def test_sent_always_has_evidence_and_an_end_always_has_a_reason(
    facts: Facts, outcome: SendOutcome, answer: LookupAnswer
) -> None:
    for step in steps(facts, outcome, answer):
        if step.status == "sent":
            assert step.message_id
        if step.status in ("failed", "expired", "uncertain"):
            assert step.trouble is not None
            assert step.trouble.sentence.endswith(".")


@given(facts_of_any, outcomes, answers)
def test_nothing_uncertain_becomes_pending_without_proof(
    facts: Facts, outcome: SendOutcome, answer: LookupAnswer
) -> None:
    if facts.status != "uncertain":
        return
    found = look(facts, answer)
    if isinstance(found, Change) and found.status == "pending":
        assert isinstance(answer, NotFound)
        assert facts.started_at is None or NOW - facts.started_at >= POLICY.unsent_after


def test_every_state_can_be_reached_and_left_as_the_diagram_says() -> None:
    reached = {"pending"} | set(itertools.chain.from_iterable(TRANSITIONS.values()))
    assert reached == set(STATUSES)
    assert set(TRANSITIONS) == set(STATUSES)
    assert FINAL.isdisjoint(IN_FLIGHT)
    assert FINAL | IN_FLIGHT | {"pending"} == set(STATUSES)


def test_every_reason_has_its_sentence() -> None:
    assert set(words.NOT_SENT) == set(NotSentReason)
    assert set(words.UNCERTAIN) == set(UncertainReason)
