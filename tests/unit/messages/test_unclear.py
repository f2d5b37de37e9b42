"""What is told of a report that may be about several messages."""

import pytest

from groupline.messages.unclear import CANDIDATES, Heard, sentence_of

SENT = (
    "The gateway reported that a message to this group was sent. It fits 2 messages, so it decides"
    " nothing about this one. Look into the group."
)
NOT_SENT = (
    "The gateway reported that a message to this group was not sent: “no route”. It does not say"
    " when, and may be about an earlier attempt, so it decides nothing about this one. Look into"
    " the group."
)
READ = (
    "The gateway reported that somebody has read a message. It fits more than 20 messages, so it"
    " decides nothing about this one. Look into the group."
)


@pytest.mark.parametrize(
    ("heard", "fits", "sentence"),
    [
        (Heard("sent", None, "3EB0", None), 2, SENT),
        (Heard("failed", "no route", None, None), 1, NOT_SENT),
        (Heard("read", None, "3EB0", None), CANDIDATES + 1, READ),
    ],
)
def test_the_sentence_says_what_was_reported_and_why_it_decides_nothing(
    heard: Heard, fits: int, sentence: str
) -> None:
    assert sentence_of(heard, fits) == sentence


def test_long_words_are_cut() -> None:
    assert len(sentence_of(Heard("failed", "x" * 5_000, None, None), 2)) < 500
