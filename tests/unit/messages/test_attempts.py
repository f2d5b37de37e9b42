"""Which attempt a step of a message's story is about, and what is the evidence that it left."""

from datetime import timedelta
from typing import Any

import pytest
from tests.support.clock import NOW

from groupline.messages.attempts import (
    Attempt,
    Counter,
    Told,
    count_attempts,
    evidence_in,
    speaker,
)
from groupline.messages.words import LEASE_ENDED_WORDS


def told(action: str, second: float = 0, began: float | None = None, **data: Any) -> Told:
    if began is not None:
        data["startedAt"] = (NOW + timedelta(seconds=began)).isoformat()
    return Told(f"message.{action}", NOW + timedelta(seconds=second), data)


def numbers(*entries: Told) -> list[int | None]:
    counter = Counter()
    attempts = [counter.read(each) for each in entries]
    return [None if each is None else each.number for each in attempts]


def test_each_request_is_an_attempt_with_its_beginning_and_its_length() -> None:
    counter = Counter()
    counter.read(told("rejected", 1, 0, reason="rejected"))
    second = counter.read(told("sent", 12.5, 12))
    assert second == Attempt(2, NOW + timedelta(seconds=12), 0.5)
    assert second.took == "took 0.5 s"


def test_attempts_are_counted_on_when_a_person_sends_it_again() -> None:
    life = [
        told("rejected", 1, 0, attempts=1, reason="rejected"),
        told("failed", 9, 8, attempts=3, reason="rejected"),
        told("requeued", 60, attempts=0, by="person"),
        told("rejected", 62, 61, attempts=1, reason="rejected"),
    ]
    assert numbers(*life) == [1, 2, None, 3]
    assert count_attempts(life).count == 3


@pytest.mark.parametrize("lease_ended", sorted(LEASE_ENDED_WORDS))
def test_what_is_told_later_of_the_same_request_is_no_further_attempt(lease_ended: str) -> None:
    late = [
        told("uncertain", 60, 0, reason="no_answer", sentence=lease_ended),
        told("accepted", 70, 0),
        told("sent", 80, 0, by="look_up"),
    ]
    counter = Counter()
    read = [counter.read(each) for each in late]
    assert [each and (each.number, each.seconds) for each in read] == [
        (1, None),  # the lease ended, and nobody saw the request end
        (1, 70.0),
        (1, None),  # found out by asking, not by the request
    ]


def test_a_request_with_another_beginning_is_another_attempt_whatever_was_not_told() -> None:
    assert numbers(told("uncertain", 2, 0), told("sent", 9, 8), told("sent", 9, 8)) == [1, 2, 2]


def test_reports_are_about_the_message_and_name_no_attempt() -> None:
    assert numbers(
        told("accepted", 1, 0),
        told("rejected", 5, by="callback", reason="rejected"),
        told("sent", 20, 19),
        told("failed", 30, by="message_error", reason="rejected_later"),
        told("sent", 40, by="receipt"),
    ) == [1, None, 2, None, None]


def test_without_a_request_there_is_no_attempt() -> None:
    assert (
        numbers(
            told("waiting"),  # the claim was given back
            told("failed", reason="unresolved_variable"),
            told("failed", reason="not_a_member"),
            told("expired"),
            told("report_ambiguous", by="callback"),
        )
        == [None] * 5
    )


def test_old_entries_do_not_say_when_their_request_began_and_are_counted_all_the_same() -> None:
    old = [
        told("waiting", reason="not_connected"),
        told("accepted"),
        told("rejected", by="callback"),
        told("uncertain", reason="no_answer"),
        told("requeued", by="look_up"),
        told("failed", reason="bad_request"),
        told("sent", 50, 49),
    ]
    assert numbers(*old) == [1, 2, None, 3, 3, 4, 5]
    first = Counter().read(old[0])
    assert first is not None
    assert (first.started_at, first.seconds, first.took) == (None, None, None)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "took less than 0.1 s"), (0.34, "took 0.3 s"), (30.0, "took 30.0 s")],
)
def test_how_long_a_request_took_is_said_in_words(seconds: float, words: str) -> None:
    assert Attempt(1, NOW, seconds).took == words


@pytest.mark.parametrize(
    ("by", "word"),
    [
        (None, "answered"),
        ("look_up", "looked up"),
        ("callback", "callback"),
        ("overtaken", "callback"),
        ("late_answer", "late answer"),
        ("receipt", "receipt"),
    ],
)
def test_evidence_says_what_it_rests_on(by: str | None, word: str) -> None:
    data = {"status": "sent", "gatewayMessageId": "3EB0"} | ({"by": by} if by else {})
    found = evidence_in("message.sent", data)
    assert found is not None
    assert (found.word, found.message_id, found.existing) == (word, "3EB0", False)
    again = evidence_in("message.sent", data | {"existing": True})
    assert again is not None
    assert again.existing


def test_somebodys_word_is_evidence_only_where_it_arrived() -> None:
    said = evidence_in("message.resolved", {"status": "sent", "outcome": "arrived"})
    assert said is not None
    assert (said.word, said.message_id) == ("somebody's word", None)
    assert evidence_in("message.resolved", {"status": "pending"}) is None
    assert evidence_in("message.failed", {"gatewayMessageId": "3EB0"}) is None


@pytest.mark.parametrize(
    ("reason", "by", "who"),
    [
        ("rejected", None, "The gateway answered"),
        ("not_sent", "look_up", "The gateway answered"),
        ("rejected", "callback", "The gateway reported"),
        ("rejected_later", None, "The gateway reported"),
        ("unreachable", None, "The connection failed"),
        ("no_answer", None, "The connection failed"),
        (None, None, "The gateway answered"),
    ],
)
def test_words_that_are_not_ours_say_whose_they_are(
    reason: str | None, by: str | None, who: str
) -> None:
    assert speaker(reason, by) == who
