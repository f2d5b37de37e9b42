"""What is told of a report that may be about several messages."""

import pytest

from groupline.messages.unclear import CANDIDATES, Said, sentence_of

SENT = (
    "The gateway reported that a message to this group was sent. It fits 2 messages, so it decides"
    " nothing about this one. Look into the group."
)
NOT_SENT = (
    "The gateway reported that a message to this group was not sent. It does not say when, and may"
    " be about an earlier attempt, so it decides nothing about this one. Look into the group."
)
READ = (
    "The gateway reported that somebody has read a message. It fits more than 20 messages, so it"
    " decides nothing about this one. Look into the group."
)


@pytest.mark.parametrize(
    ("said", "fits", "sentence"),
    [("sent", 2, SENT), ("failed", 1, NOT_SENT), ("read", CANDIDATES + 1, READ)],
)
def test_the_sentence_says_what_was_reported_and_why_it_decides_nothing(
    said: Said, fits: int, sentence: str
) -> None:
    assert sentence_of(said, fits) == sentence
