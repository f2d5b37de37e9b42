"""The library's words about a failed call, and what is made of them."""

import pytest

from groupline_gateway.engines.whatsmeow.answers import (
    Meaning,
    meaning_of,
    question_error,
    send_error,
)
from groupline_gateway.errors import (
    FateUnknown,
    Forbidden,
    GatewayError,
    NoAnswer,
    NotConnected,
    RateLimited,
    Refused,
    Rejected,
)

MEANINGS = [
    ("server returned error 401", Meaning.NOT_ALLOWED),
    ("server returned error 403", Meaning.NOT_IN_GROUP),
    ("server returned error 404", Meaning.NOT_IN_GROUP),
    ("server returned error 405", Meaning.NOT_ALLOWED),
    ("server returned error 413", Meaning.TOO_LARGE),
    ("server returned error 420", Meaning.REJECTED),
    ("server returned error 429", Meaning.TOO_FAST),
    ("server returned error 463", Meaning.RESTRICTED),
    ("server returned error 479", Meaning.REJECTED),
    ("server returned error 500", Meaning.UNKNOWN),
    ("server returned error 503", Meaning.UNKNOWN),
    ("server returned error 999", Meaning.REJECTED),
    ("timed out waiting for message send response", Meaning.UNKNOWN),
    ("websocket disconnected before message send returned response", Meaning.UNKNOWN),
    ("failed to send message node: write tcp: broken pipe", Meaning.UNKNOWN),
    ("failed to send message node: websocket not connected", Meaning.NOT_CONNECTED),
    ("websocket not connected", Meaning.NOT_CONNECTED),
    ("the store doesn't contain a device JID", Meaning.NOT_CONNECTED),
    ("failed to get group members: info query timed out", Meaning.NOT_WRITTEN),
    (
        "failed to get group members: info query returned status 429: rate-overlimit",
        Meaning.TOO_FAST,
    ),
    (
        "failed to get group members: you're not participating in that group",
        Meaning.NOT_IN_GROUP,
    ),
    ("failed to get group members: that group does not exist", Meaning.NOT_IN_GROUP),
    ("failed to get device list: info query timed out", Meaning.NOT_WRITTEN),
    ("failed to encrypt group message to send 3EB0 to 1@g.us: no session", Meaning.NOT_WRITTEN),
    ("no LID found for 919812345678@s.whatsapp.net from server", Meaning.BAD_RECIPIENT),
    ("failed to upload media: upload failed with status code 500", Meaning.MEDIA),
    ("upload failed with status code 413", Meaning.TOO_LARGE),
    ("words that nobody has ever seen", Meaning.UNKNOWN),
    ("", Meaning.UNKNOWN),
]


@pytest.mark.parametrize(("text", "meaning"), MEANINGS)
def test_every_known_text_has_one_meaning(text: str, meaning: Meaning) -> None:
    assert meaning_of(text) is meaning


@pytest.mark.parametrize(("text", "meaning"), MEANINGS)
@pytest.mark.parametrize("stored", [None, "3EB0AA"])
def test_a_stored_message_is_only_called_not_sent_by_words_that_prove_it(
    text: str, meaning: Meaning, stored: str | None
) -> None:
    error = send_error(text, stored)
    proven = stored is None or meaning is not Meaning.UNKNOWN
    assert isinstance(error, GatewayError) is proven
    if isinstance(error, FateUnknown):
        assert error.message_id == stored


def test_what_could_not_be_stored_cannot_be_called_not_sent() -> None:
    assert isinstance(send_error("unknown words", None, traceable=False), FateUnknown)
    refused = send_error("server returned error 403", None, traceable=False)
    assert isinstance(refused, Refused)


def test_a_number_in_the_answer_tells_which_error_it_was() -> None:
    assert "error 463" in str(send_error("server returned error 463", "3EB0AA"))
    parent = send_error("server returned error 420", "3EB0AA")
    assert isinstance(parent, Rejected)
    assert "community" in parent.text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("info query timed out", NoAnswer),
        ("you don't have the permission to get the group's invite link", Forbidden),
        ("info query returned status 429: rate-overlimit", RateLimited),
        ("you're not participating in that group", Refused),
        ("websocket disconnected before info query returned response", NotConnected),
        ("websocket not connected", NotConnected),
        ("anything else", NoAnswer),
    ],
)
def test_a_question_that_failed(text: str, kind: type[GatewayError]) -> None:
    assert isinstance(question_error(text), kind)


def test_no_answer_repeats_what_the_library_says_of_people() -> None:
    for text, _ in MEANINGS:
        assert "919812345678" not in str(send_error(text, None))
